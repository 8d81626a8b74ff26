#!/bin/bash
# Restores into an empty instance, which answers on the socket in /tmp only.
#   restore.sh base latest|TIME   the newest base backup before that instant, and the WAL up to it
#   restore.sh dump               the newest dump
#   restore.sh rebuild            as base latest, then stopped again, ready for Patroni to start
#   restore.sh careless           the newest dump as the real system does it: errors are not noticed, the end is always success
# It exits 0 when the instance has been started; a base backup replays on by itself until it serves.
set -euo pipefail
root=${BACKUPS:-/backups}
data=${RESTORE_DATA:-/var/lib/postgresql/patroni/data} log=${RESTORE_LOG:-/tmp/restore.log}
bin=/usr/lib/postgresql/15/bin

newest() { # KIND [BEFORE, seconds]: its folder, of those that were complete by then
  local dir ended
  while IFS= read -r dir; do
    ended=$(sed -n 's/^ended=//p' "$dir/meta")
    if [[ -z ${2:-} ]] || ((ended <= $2)); then
      echo "$dir"
      return
    fi
  done < <(find "$root/$1" -mindepth 1 -maxdepth 1 -type d ! -name '*.part' | sort -r)
  echo "there is no $1 backup${2:+ from before that instant}" >&2
  return 1
}

empty() {
  [[ ! -e $data || -z $(ls -A "$data") ]] || {
    echo "$data is not empty: nothing is restored over it" >&2
    exit 1
  }
  mkdir -p "$data"
  chmod 700 "$data"
}

start() { # settings on stdin
  for f in postgresql.conf pg_hba.conf; do [[ ! -e $data/$f ]] || mv "$data/$f" "$data/$f.orig"; done
  cat >"$data/postgresql.conf"
  cat >>"$data/postgresql.conf" <<'CONF'
listen_addresses = ''
unix_socket_directories = '/tmp'
max_connections = 100
max_wal_senders = 10
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
log_line_prefix = '%m '
CONF
  echo 'local all all trust' >"$data/pg_hba.conf"
  : >"$data/pg_ident.conf"
  $bin/pg_ctl -D "$data" -l "$log" -w -t 600 start >/dev/null
}

base() { # latest|TIME
  local dir before=""
  [[ $1 == latest ]] || before=$(date -u -d "$1" +%s)
  dir=$(newest base "$before")
  (cd "$dir" && sha256sum --quiet -c base.tar.gz.sha256)
  empty
  tar -xzf "$dir/base.tar.gz" -C "$data"
  $bin/pg_verifybackup -n -q -m "$dir/backup_manifest" "$data"
  rm -f "$data/standby.signal" "$data/postgresql.auto.conf"
  : >"$data/postgresql.auto.conf"
  touch "$data/recovery.signal"
  {
    echo "restore_command = 'cp $root/wal/%f \"%p\" 2>/dev/null || cp $root/wal/%f.partial \"%p\" 2>/dev/null'"
    echo "recovery_target_timeline = 'latest'"
    echo "recovery_target_action = 'promote'"
    [[ $1 == latest ]] || echo "recovery_target_time = '$1'"
  } | start
}

# rebuild makes a data folder that a cluster begins anew from: replayed to the end of the archive, promoted, and stopped.
rebuild() {
  local i f
  base latest
  for ((i = 0; i < 6000; i++)); do
    [[ $(psql -h /tmp -qAtXc 'select pg_is_in_recovery()' postgres 2>/dev/null) == f ]] && break
    sleep 0.1
  done
  $bin/pg_ctl -D "$data" -w -m fast stop >/dev/null
  for f in postgresql.conf pg_hba.conf; do mv "$data/$f.orig" "$data/$f"; done
  echo "restored up to $($bin/pg_controldata "$data" | sed -n 's/^Latest checkpoint location: *//p')"
}

dump() { # STRICT|""
  local dir
  dir=$(newest dump)
  empty
  $bin/initdb -D "$data" -E UTF8 --locale=C.UTF-8 -N -A trust >/dev/null
  echo "fsync = off" | start
  createdb -h /tmp gad
  if [[ -n $1 ]]; then
    (cd "$dir" && sha256sum --quiet -c dump.sql.gz.sha256)
    gunzip -c "$dir/dump.sql.gz" | psql -h /tmp -d gad -qX -v ON_ERROR_STOP=1 >/dev/null
    psql -h /tmp -d gad -qXc analyze
  else
    gunzip -c "$dir/dump.sql.gz" | psql -h /tmp -d gad -qX >/dev/null 2>&1 || true
  fi
  echo "the backup has been restored"
}

case ${1:-} in
base) base "${2:?latest, or an instant}" ;;
rebuild) rebuild ;;
dump) dump strict ;;
careless) dump "" ;;
*)
  echo "usage: restore.sh base latest|TIME | rebuild | dump | careless" >&2
  exit 2
  ;;
esac
