# shellcheck shell=bash
# `stack status|ps|env|logs`: looking only.

# cmd_status says what is healthy and who is primary; exit code 1 when something is not well.
cmd_status() {
  local lines
  check_engine
  lines=$(health_lines)
  [[ -n $lines ]] || die $EXIT_FAILED "project $GAD_PROJECT is not running" "start it: make up   (or: compose/grupogad/stack up)"
  awk '{ printf "%-16s %-10s %s\n", $1, $2, $3 }' <<<"$lines"
  say "redis primary: $(redis_primary)   postgis primary: $(pg_primary)"
  ! grep -qv ' running healthy$' <<<"$lines"
}

redis_primary() {
  local s id
  for s in sentinel-1 sentinel-2 sentinel-3; do
    id=$(container_of $s)
    [[ -n $id ]] && docker exec "$id" redis-cli -p 26379 --raw SENTINEL get-master-addr-by-name gad 2>/dev/null | head -n1 | grep . && return
  done
  echo unknown
}

pg_primary() {
  local s id
  for s in pg-1 pg-2 pg-3; do
    id=$(container_of $s)
    [[ -n $id ]] && docker exec "$id" healthcheck http://127.0.0.1:8008/primary 2>/dev/null && echo $s && return
  done
  echo unknown
}

cmd_ps() {
  check_engine
  find_compose
  export_secrets
  dc ps "$@"
}

cmd_logs() {
  check_engine
  find_compose
  export_secrets
  dc logs "$@"
}

# cmd_env prints what a program needs to find the project, for: eval "$(stack env)". Secrets stay in their
# file unless asked for.
cmd_env() {
  local v
  [[ $# == 0 || $* == --secrets ]] || die $EXIT_USAGE "unknown: env $*" "stack env [--secrets]"
  for v in GAD_PROJECT "${PORT_VARS[@]}" GAD_RULE_SET GAD_RULE_DEFECTS; do printf 'export %s=%q\n' "$v" "${!v}"; done
  printf 'export GAD_SECRETS=%q\n' "$GAD_STATE/secrets.env"
  [[ ${1:-} != --secrets ]] || sed 's/^/export /' "$GAD_STATE/secrets.env" 2>/dev/null ||
    die $EXIT_FAILED "project $GAD_PROJECT has no secrets yet" "they are made by: stack up"
}
