# shellcheck shell=bash
# What every part of `stack` uses: messages, exit codes, paths, ports.

readonly EXIT_USAGE=2 EXIT_ENVIRONMENT=3 EXIT_FAILED=1

say() { printf '%s\n' "$*"; }
warn() { printf 'stack: %s\n' "$*" >&2; }

# die CODE MESSAGE [HINT]: what went wrong, then what to do about it.
die() {
  warn "$2"
  [[ -n ${3:-} ]] && printf '       hint: %s\n' "$3" >&2
  exit "$1"
}

# need TOOL PACKAGE: refuses to go on without a tool; never installs it.
need() {
  command -v "$1" >/dev/null 2>&1 ||
    die $EXIT_ENVIRONMENT "$1 is missing" "install it with: sudo apt-get install -y $2"
}

seconds_since() { # EPOCHREALTIME: elapsed seconds with one decimal, for people
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# The ports on 127.0.0.1 and the variables that move them.
readonly PORT_VARS=(GAD_PORT_CADDY GAD_PORT_PROMETHEUS GAD_PORT_ALERTMANAGER GAD_PORT_SINK)

# load_settings fills in what the environment leaves open: first from the last `up` of the project, then defaults.
load_settings() {
  export GAD_PROJECT=${GAD_PROJECT:-gad}
  [[ $GAD_PROJECT =~ ^[a-z0-9][a-z0-9_-]*$ ]] ||
    die $EXIT_USAGE "GAD_PROJECT=$GAD_PROJECT is no project name" "use lower-case letters, digits, - and _"
  export GAD_STATE=$HERE/.state/$GAD_PROJECT
  local line name
  if [[ -r $GAD_STATE/settings.env ]]; then
    while IFS= read -r line; do
      name=${line%%=*}
      [[ -n ${!name:-} ]] || export "${line?}"
    done <"$GAD_STATE/settings.env"
  fi
  export GAD_NET=${GAD_NET:-} # chosen by `up`
  export GAD_PORT_CADDY=${GAD_PORT_CADDY:-28080} GAD_PORT_PROMETHEUS=${GAD_PORT_PROMETHEUS:-29090}
  export GAD_PORT_ALERTMANAGER=${GAD_PORT_ALERTMANAGER:-29093} GAD_PORT_SINK=${GAD_PORT_SINK:-28090}
  export GAD_RULE_SET=${GAD_RULE_SET:-fast} GAD_RULE_DEFECTS=${GAD_RULE_DEFECTS:-}
}

# save_settings keeps the choices of this `up`, so that later commands need no environment.
save_settings() {
  local v
  mkdir -p "$GAD_STATE"
  for v in "${PORT_VARS[@]}" GAD_NET GAD_RULE_SET GAD_RULE_DEFECTS; do printf '%s=%s\n' "$v" "${!v}"; done >"$GAD_STATE/settings.env"
}
