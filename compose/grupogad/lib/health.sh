# shellcheck shell=bash
# Health, read straight from the containers: no compose version waits the same way. The engine makes a first check only after
# its interval and keeps an old verdict as long, so who is not healthy by its word is asked here, with the same command.

# health_lines prints "service state health" for every container of the project.
health_lines() {
  local ids
  mapfile -t ids < <(containers -a)
  ((${#ids[@]})) || return 0
  docker inspect -f '{{.Id}} {{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' \
    "${ids[@]}" 2>/dev/null | ask_again | LC_ALL=C sort
}

ASKED="" # ids that said themselves that they are healthy, one per line: a file, since pipelines are processes of their own

# ask_again takes "id service state health" lines and prints them without the id, with the verdict of a check made now.
ask_again() {
  local id service state health
  while read -r id service state health; do
    if [[ $state == running && $health != healthy && $health != none ]]; then
      if [[ -n $ASKED ]] && grep -qx "$id" "$ASKED" || healthy_now "$id"; then
        health=healthy
        [[ -z $ASKED ]] || echo "$id" >>"$ASKED"
      fi
    fi
    echo "$service $state $health"
  done
}

healthy_now() { # ID: its own health check, once
  local check
  mapfile -t check < <(docker inspect -f '{{range slice .Config.Healthcheck.Test 1}}{{println .}}{{end}}' "$1" 2>/dev/null | grep .)
  ((${#check[@]})) && timeout 5 docker exec "$1" "${check[@]}" >/dev/null 2>&1 </dev/null
}

# wait_healthy SECONDS: until every container that compose made is healthy, with a line that says what is still missing.
# (`compose config --services` is no count of them: version 1 names services of profiles that were not asked for, too.)
wait_healthy() {
  local start=$EPOCHREALTIME deadline=$((SECONDS + $1)) lines missing last="" total
  total=$(containers -a | wc -l)
  ASKED=$GAD_STATE/asked
  : >"$ASKED"
  while :; do
    lines=$(health_lines)
    missing=$(awk '!($2 == "running" && $3 == "healthy") { print $1 }' <<<"$lines" | paste -sd' ')
    progress "$(grep -c ' running healthy$' <<<"$lines")/$total healthy${missing:+, waiting for: $missing}" "$last"
    last=$PROGRESS
    [[ -z $missing && $(grep -c . <<<"$lines") -ge $total ]] && break
    ((SECONDS < deadline)) || { progress_end && blame "$1" "$missing"; }
    sleep 0.5
  done
  rm -f "$ASKED"
  ASKED=""
  progress_end
  say "all $total services healthy after $(seconds_since "$start") s"
}

PROGRESS=""
progress() { # LINE LAST: rewritten in place on a terminal, a line per change elsewhere
  PROGRESS=$1
  if [[ -t 1 ]]; then
    printf '\r\033[K%s' "${1:0:$((${COLUMNS:-100} - 1))}"
  elif [[ $1 != "$2" ]]; then say "$1"; fi
}
progress_end() { [[ ! -t 1 ]] || printf '\r\033[K'; }

blame() { # SECONDS SERVICES: why the services that are not healthy are not
  local service id
  for service in $2; do
    id=$(container_of_any "$service")
    warn "$service: $(docker inspect -f '{{.State.Status}}{{if .State.Health}}, {{.State.Health.Status}}{{with .State.Health.Log}}: {{(index . 0).Output}}{{end}}{{end}}' "$id" 2>/dev/null)"
    docker logs --tail 5 "$id" 2>&1 | sed 's/^/       /' >&2
  done
  die $EXIT_FAILED "not healthy after $1 s: $2" "look at: $0 logs ${2%% *}   (a slow machine may need GAD_UP_TIMEOUT=300)"
}

container_of_any() { containers -a --filter "label=com.docker.compose.service=$1" | head -n1; }
