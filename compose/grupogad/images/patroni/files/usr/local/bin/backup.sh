#!/bin/bash
# Backups of the cluster on a volume: base backups, WAL as it is written, and logical dumps, each with its checksum.
#   backup.sh serve          make them, every BACKUP_EVERY seconds, and show their age on :9188/metrics
#   backup.sh base | dump    make one now
#   backup.sh hole           lose a segment of the WAL archive (a defect, on purpose)
#   backup.sh defect [NAME]  stopped: nothing is made any more and nobody is told; no name: none
# DEFECTS, for one command: empty-dump (the real system's: a dump that failed is told as done), no-index, no-extension.
set -euo pipefail
root=${BACKUPS:-/backups}
host=${BACKUP_HOST:-haproxy} port=${BACKUP_PORT:-5000} db=${BACKUP_DB:-gad}
every=${BACKUP_EVERY:-3600} keep=${BACKUP_KEEP:-2}
bin=/usr/lib/postgresql/15/bin

stamp() { date -u +%Y%m%dT%H%M%SZ; }
defective() {
  local now=""
  if [[ -r $root/defects ]]; then now=$(<"$root/defects"); fi
  [[ " ${DEFECTS:-} $now " == *" $1 "* ]]
}
super() { PGPASSWORD=$PG_SUPER_PASSWORD PGCONNECT_TIMEOUT=3 psql -h "$host" -p "$port" -U postgres -d "$db" -qAtX -v ON_ERROR_STOP=1 -c "$1"; }

# finish: the checksum beside it, then the folder gets its name at once, so that a half-made one is never found.
finish() { # KIND PART NAME FILE STARTED
  (cd "$2" && sha256sum "$4" >"$4.sha256")
  printf 'kind=%s\nstarted=%s\nended=%s\nsize=%s\n' "$1" "$5" "$(date -u +%s)" "$(stat -c %s "$2/$4")" >"$2/meta"
  mv "$2" "$3"
  ln -sfn "$3/meta" "$root/last-$1"
  prune "$1"
  echo "backup: $1 $3 done, $(stat -c %s "$3/$4") bytes"
}

base() {
  local started part name
  started=$(date -u +%s) name=$root/base/$(stamp)
  part=$name.part
  rm -rf "$part"
  PGPASSWORD=$PG_REPL_PASSWORD pg_basebackup -h "$host" -p "$port" -U replicator -D "$part" -Ft -Z gzip:1 -X none -c fast -l simulacro 2>&1 |
    { grep -v NOTICE || true; }
  finish base "$part" "$name" base.tar.gz "$started"
}

# dump is written as it should be. With empty-dump it is written as the real system's was: whatever the dump says, gzip ends well.
dump() {
  local started part name options=() from=$host
  started=$(date -u +%s) name=$root/dump/$(stamp)
  part=$name.part
  mkdir -p "$part"
  if defective no-index; then options=(--section=pre-data --section=data); fi
  if defective no-extension; then options=(-n gad); fi
  if defective empty-dump; then
    set +o pipefail
    from=nowhere.invalid
  fi
  PGPASSWORD=$PG_SUPER_PASSWORD pg_dump -h "$from" -p "$port" -U postgres -d "$db" --no-owner --no-acl "${options[@]}" | gzip -1 >"$part/dump.sql.gz"
  set -o pipefail
  finish dump "$part" "$name" dump.sql.gz "$started"
}

# prune keeps the newest few, and the WAL from the oldest of them on.
prune() {
  local old start
  while IFS= read -r old; do rm -rf "$old"; done < <(find "$root/$1" -mindepth 1 -maxdepth 1 -type d ! -name '*.part' | sort -r | tail -n +$((keep + 1)))
  [[ $1 == base ]] || return 0
  old=$(find "$root/base" -mindepth 1 -maxdepth 1 -type d ! -name '*.part' | sort | head -n 1)
  start=$(tar -xzOf "$old/base.tar.gz" backup_label | sed -nE 's/^START WAL LOCATION:.*\(file ([0-9A-F]{24})\)$/\1/p')
  [[ -z $start ]] || $bin/pg_archivecleanup "$root/wal" "$start"
}

hole() {
  local i gone
  for i in 1 2 3 4; do
    super "create temp table noise as select random() from generate_series(1, 1000); select pg_logical_emit_message(true, 'backup', 'hole'); select pg_switch_wal()" >/dev/null
    sleep 1
  done
  gone=$(find "$root/wal" -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' | sort | tail -n 3 | head -n 1)
  rm "$gone"
  echo "backup: $gone is gone"
}

receive() {
  while :; do
    if defective stopped; then
      sleep 1
      continue
    fi
    PGPASSWORD=$PG_REPL_PASSWORD pg_receivewal -h "$host" -p "$port" -U replicator -D "$root/wal" -n 2>/dev/null &
    echo $! >"$root/receiver"
    wait $! || true
    sleep 0.5
  done
}

# metrics is written every few seconds beside everything else: no process more than it needs.
metrics() {
  local kind key value newest
  {
    for kind in base dump; do
      [[ -r $root/last-$kind ]] || continue
      while IFS='=' read -r key value; do
        case $key in
        ended) echo "backup_last_success_timestamp_seconds{kind=\"$kind\"} $value" ;;
        size) echo "backup_last_size_bytes{kind=\"$kind\"} $value" ;;
        esac
      done <"$root/last-$kind"
    done
    newest=$(find "$root/wal" -type f -printf '%T@\n' | sort -n | tail -n 1)
    if [[ -r $root/receiver ]] && kill -0 "$(<"$root/receiver")" 2>/dev/null; then echo "backup_wal_receiver_up 1"; else echo "backup_wal_receiver_up 0"; fi
    [[ -z $newest ]] || echo "backup_wal_last_received_timestamp_seconds $newest"
  } >"$root/metrics/metrics.new"
  mv "$root/metrics/metrics.new" "$root/metrics/metrics"
}

serve() {
  local next=0
  : >"$root/defects"
  rm -rf "$root"/*/*.part
  metrics
  python3 -m http.server 9188 --directory "$root/metrics" >/dev/null 2>&1 &
  receive &
  trap 'kill $(jobs -p) "$(cat "$root/receiver")" 2>/dev/null; exit 0' TERM INT
  while :; do
    if defective stopped; then
      kill "$(cat "$root/receiver" 2>/dev/null)" 2>/dev/null || true
    elif ((SECONDS >= next)) && super 'select 1' >/dev/null 2>&1; then
      if base && dump; then next=$((SECONDS + every)); else next=$((SECONDS + 5)); fi
    fi
    metrics
    sleep 5 &
    wait $!
  done
}

mkdir -p "$root"/{base,dump,wal,metrics}
case ${1:-} in
serve | base | dump | hole) "$1" ;;
defect) printf '%s\n' "${*:2}" >"$root/defects" ;;
*)
  echo "usage: backup.sh serve | base | dump | hole | defect [NAME]" >&2
  exit 2
  ;;
esac
