# shellcheck shell=bash
# `stack up` and `stack down`.

cmd_up() {
  local start=$EPOCHREALTIME
  check_engine
  find_compose
  say "project $GAD_PROJECT, using $(compose_name)"
  check_images
  check_ports
  pick_network
  make_secrets
  save_settings
  write_rules
  export_secrets
  compose_up
  wait_healthy "${GAD_UP_TIMEOUT:-120}"
  say "up in $(seconds_since "$start") s, rules: $GAD_RULE_SET${GAD_RULE_DEFECTS:+ with $GAD_RULE_DEFECTS}"
  urls
}

urls() {
  say "  api           http://127.0.0.1:$GAD_PORT_CADDY"
  say "  prometheus    http://127.0.0.1:$GAD_PORT_PROMETHEUS"
  say "  alertmanager  http://127.0.0.1:$GAD_PORT_ALERTMANAGER"
  say "  notifications http://127.0.0.1:$GAD_PORT_SINK/notifications"
}

# check_ports names the variable before the engine would only name the number. A port that this project
# already holds is no conflict.
check_ports() {
  local v port
  for v in "${PORT_VARS[@]}"; do
    port=${!v}
    [[ $port =~ ^[0-9]+$ ]] || die $EXIT_USAGE "$v=$port is no port number" "for example $v=28080"
    [[ -z $(containers --filter "publish=$port") ]] || continue
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || continue
    die $EXIT_ENVIRONMENT "port $port on 127.0.0.1 is taken" "choose another with $v=<port>, or stop what holds it"
  done
}

compose_up() {
  local log=$GAD_STATE/up.log port v
  dc up -d >"$log" 2>&1 && return
  port=$(grep -oE '(127\.0\.0\.1|0\.0\.0\.0):[0-9]+' "$log" | head -n1 | cut -d: -f2) || true
  if grep -qE 'already allocated|address already in use' "$log"; then
    for v in "${PORT_VARS[@]}"; do
      [[ ${!v} == "$port" ]] && die $EXIT_ENVIRONMENT "port $port on 127.0.0.1 is taken" "choose another with $v=<port>, or stop what holds it"
    done
  fi
  tail -n 15 "$log" | sed 's/^/       /' >&2
  die $EXIT_FAILED "$(compose_name) up failed" "the whole output is in ${log#"$PWD"/}"
}

# cmd_api starts or stops the instances beyond the two that are always there.
cmd_api() {
  local n=${1:-} more=() fewer=() i
  [[ $# == 1 && $n =~ ^[2-5]$ ]] || die $EXIT_USAGE "how many instances?" "stack api N, with N from 2 to 5"
  check_engine
  find_compose
  [[ -n $(container_of api-1) ]] || die $EXIT_FAILED "project $GAD_PROJECT is not running" "start it first: compose/grupogad/stack up"
  export_secrets
  for i in 3 4 5; do if ((i <= n)); then more+=("api-$i"); else fewer+=("api-$i"); fi; done
  ((${#more[@]} == 0)) || dc --profile more up -d --no-deps "${more[@]}" >/dev/null 2>&1 ||
    die $EXIT_FAILED "$(compose_name) could not start ${more[*]}" "try it by hand: $0 logs ${more[0]}"
  for i in "${fewer[@]}"; do
    mapfile -t ids < <(containers -a --filter "label=com.docker.compose.service=$i")
    ((${#ids[@]} == 0)) || docker rm -f "${ids[@]}" >/dev/null
  done
  wait_api "$n"
}

wait_api() { # N
  local i deadline=$((SECONDS + 60))
  for ((i = 1; i <= $1; i++)); do
    until [[ $(health_lines) == *"api-$i running healthy"* ]]; do
      ((SECONDS < deadline)) || die $EXIT_FAILED "api-$i is not healthy after 60 s" "look at: $0 logs api-$i"
      sleep 0.5
    done
  done
  say "$1 instances of the API are healthy"
}

# cmd_down removes everything of the project: containers, network, volumes and its state with the secrets.
cmd_down() {
  local paused
  check_engine
  find_compose
  export_secrets
  mapfile -t paused < <(containers --filter status=paused)
  ((${#paused[@]} == 0)) || docker unpause "${paused[@]}" >/dev/null # a paused container can't be stopped
  dc down -v --remove-orphans -t 1 >/dev/null 2>&1 || true          # what it leaves is swept and judged below
  sweep
  [[ -z $GAD_STATE ]] || rm -rf "${GAD_STATE:?}"
  if [[ -n $(left_network) ]]; then
    warn "everything of project $GAD_PROJECT is gone but its network, which the engine counts as used although nothing is on it"
    printf '       hint: the next start uses it again; a restart of the engine removes it\n' >&2
    return
  fi
  say "project $GAD_PROJECT is gone: no container, network or volume left"
}

sweep() {
  local ids kind
  mapfile -t ids < <(containers -a)
  ((${#ids[@]} == 0)) || docker rm -fv "${ids[@]}" >/dev/null
  for kind in volume network; do remove_all "$kind"; done # data first: a network that stays must not leave the next start old passwords
}

# remove_all waits: the engine lets go of the endpoints of dead containers some seconds late.
remove_all() { # network|volume
  local ids deadline=$((SECONDS + 30)) filter="label=com.docker.compose.project=$GAD_PROJECT"
  while mapfile -t ids < <(docker "$1" ls -q --filter "$filter") && ((${#ids[@]} > 0)); do
    docker "$1" rm "${ids[@]}" >/dev/null 2>&1 && continue
    if ((SECONDS >= deadline)); then
      # Docker 20.10 can lose count of endpoints when a start is cut short; then nothing names one, and only its restart helps.
      [[ $1 != network || -n $(endpoints "${ids[0]}") ]] || return 0
      [[ $1 != network ]] || say "still on it: $(endpoints "${ids[0]}")"
      die $EXIT_FAILED "a $1 of project $GAD_PROJECT is still in use" "see who uses it: docker $1 inspect ${ids[0]}"
    fi
    [[ $1 != network ]] || disconnect_dead "${ids[0]}"
    sleep 1
  done
}

endpoints() { docker network inspect -f '{{range .Containers}}{{.Name}} {{end}}' "$1"; }

# disconnect_dead frees the endpoints that name a container which no longer exists. A living one is somebody's, and stays.
disconnect_dead() { # NETWORK
  local name
  for name in $(endpoints "$1"); do
    docker container inspect "$name" >/dev/null 2>&1 || docker network disconnect -f "$1" "$name" >/dev/null 2>&1 || true
  done
}
