# shellcheck shell=bash
# Secrets are made at the first start of a project, kept where git does not look, and go with `down`.

readonly SECRETS=(REDIS_PASSWORD PG_SUPER_PASSWORD PG_REPL_PASSWORD PG_REWIND_PASSWORD PG_APP_PASSWORD
  PG_EXPORTER_PASSWORD PG_SIMULACRO_PASSWORD PG_FAULTS_PASSWORD JWT_SECRET ADMIN_PASSWORD TELEGRAM_TOKEN)

make_secrets() {
  local file=$GAD_STATE/secrets.env name
  [[ -s $file ]] && return
  mkdir -p "$GAD_STATE"
  (
    umask 077
    for name in "${SECRETS[@]}"; do
      printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    done >"$file.new"
    mv "$file.new" "$file"
  )
  say "secrets made: ${file#"$PWD"/}"
  split_secrets
}

# split_secrets gives every secret a file of its own, for the ${file:…} references of system.yaml.
split_secrets() {
  local name value
  mkdir -p "$GAD_STATE/secrets"
  while IFS='=' read -r name value; do
    (umask 077 && printf '%s' "$value" >"$GAD_STATE/secrets/$name")
  done <"$GAD_STATE/secrets.env"
}

# export_secrets hands them to compose. Without a file (nothing was ever started) they stay empty.
export_secrets() {
  local name
  for name in "${SECRETS[@]}"; do export "$name="; done
  [[ -r $GAD_STATE/secrets.env ]] || return 0
  set -a
  # shellcheck source=/dev/null
  . "$GAD_STATE/secrets.env"
  set +a
}
