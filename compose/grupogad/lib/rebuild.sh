# shellcheck shell=bash
# `stack rebuild`: every member of the database is gone with its data; what is left is this configuration and the backups.

cmd_rebuild() {
  local start=$EPOCHREALTIME i id
  check_engine
  find_compose
  export_secrets
  for i in 1 2 3; do
    [[ -z $(containers -a --filter "label=com.docker.compose.service=pg-$i") ]] ||
      die $EXIT_FAILED "pg-$i is still there" "a rebuild begins with nothing: it is for a total loss"
  done
  id=$(container_of etcd-1)
  [[ -n $id ]] || die $EXIT_FAILED "etcd-1 is not running" "start it: compose/grupogad/stack up"
  docker exec -e ETCDCTL_API=3 "$id" etcdctl --endpoints http://127.0.0.1:2379 del --prefix /service/gad/ >/dev/null
  say "the dead cluster is forgotten after $(seconds_since "$start") s"
  dc --profile rebuild run --rm --no-deps pg-restore 2>/dev/null || die $EXIT_FAILED "the backup could not be restored" "try it by hand: docker-compose --profile rebuild run --rm pg-restore"
  say "pg-1 has its data after $(seconds_since "$start") s"
  dc up -d --no-deps pg-1 >/dev/null 2>&1 || die $EXIT_FAILED "pg-1 did not start" "look at: $0 logs pg-1"
  for ((i = 0; i < 600; i++)); do
    id=$(container_of pg-1)
    docker exec "$id" healthcheck http://127.0.0.1:8008/primary 2>/dev/null && break
    sleep 0.2
  done
  say "pg-1 is primary after $(seconds_since "$start") s"
  dc up -d --no-deps pg-2 pg-3 >/dev/null 2>&1 || die $EXIT_FAILED "the replicas did not start" "look at: $0 logs pg-2"
  say "rebuilt in $(seconds_since "$start") s"
}
