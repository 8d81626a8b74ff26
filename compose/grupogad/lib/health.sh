# shellcheck shell=bash
# Health as the engine reports it, read straight from the containers: no compose version waits the same way.

# health_lines prints "service state health" for every container of the project.
health_lines() {
  local ids
  mapfile -t ids < <(containers -a)
  ((${#ids[@]})) || return 0
  docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' \
    "${ids[@]}" 2>/dev/null | LC_ALL=C sort
}

# wait_healthy SECONDS: until every container that compose made is healthy, with a line that says what is still missing.
# (`compose config --services` is no count of them: version 1 names services of profiles that were not asked for, too.)
wait_healthy() {
  local start=$EPOCHREALTIME deadline=$((SECONDS + $1)) lines missing last="" total
  total=$(containers -a | wc -l)
  while :; do
    lines=$(health_lines)
    missing=$(awk '!($2 == "running" && $3 == "healthy") { print $1 }' <<<"$lines" | paste -sd' ')
    progress "$(grep -c ' running healthy$' <<<"$lines")/$total healthy${missing:+, waiting for: $missing}" "$last"
    last=$PROGRESS
    [[ -z $missing && $(grep -c . <<<"$lines") -ge $total ]] && break
    ((SECONDS < deadline)) || { progress_end && blame "$1" "$missing"; }
    sleep 0.5
  done
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
