# shellcheck shell=bash
# `stack rules`: which set of alert rules is loaded, sound or with a named defect.

RULES_TOOL=$HERE/.state/build/bin/rules

rules_tool() {
  if [[ ! -x $RULES_TOOL ]] || [[ -n $(find "$HERE/rules" -name '*.go' -newer "$RULES_TOOL" -print -quit) ]]; then
    need go "golang-go (1.26 or newer, or from go.dev)"
    (cd "$HERE" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$RULES_TOOL" ./rules) ||
      die $EXIT_FAILED "the rules program does not build" "see the errors above"
  fi
  "$RULES_TOOL" "$@"
}

rules_args() {
  local d
  printf '%s\n' -set "$GAD_RULE_SET" -out "$GAD_STATE/monitoring"
  for d in ${GAD_RULE_DEFECTS//,/ }; do printf '%s\n' -defect "$d"; done
}

write_rules() {
  local args
  mapfile -t args < <(rules_args)
  rules_tool "${args[@]}" >/dev/null || die $EXIT_USAGE "no rules written" "stack rules --list shows the sets, alerts and defects"
}

# cmd_rules [--set S] [--defect D]... | --list: writes the set and, when the project runs, has it loaded and
# waits until Prometheus evaluates it.
cmd_rules() {
  local set=$GAD_RULE_SET defects=() args
  while (($#)); do
    case $1 in
    --list) rules_tool -list && return ;;
    --set) set=${2:?--set needs a name} && shift 2 ;;
    --defect) defects+=("${2:?--defect needs a name}") && shift 2 ;;
    *) die $EXIT_USAGE "unknown: rules $1" "stack rules [--set fast|blueprint] [--defect NAME]... | --list" ;;
    esac
  done
  export GAD_RULE_SET=$set GAD_RULE_DEFECTS
  GAD_RULE_DEFECTS=$(IFS=,; echo "${defects[*]}")
  write_rules
  save_settings
  [[ -n $(container_of prometheus) ]] || { say "rules written for the next start" && return; }
  mapfile -t args < <(rules_args)
  rules_tool "${args[@]}" -prometheus "http://127.0.0.1:$GAD_PORT_PROMETHEUS" -alertmanager "http://127.0.0.1:$GAD_PORT_ALERTMANAGER" ||
    die $EXIT_FAILED "the rules were not loaded" "look at: $0 logs prometheus alertmanager"
}
