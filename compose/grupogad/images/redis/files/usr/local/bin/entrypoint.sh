#!/bin/bash
# One image, two roles: `redis` (a data node) and `sentinel`.
# A member must come back by itself into whatever the others have agreed on meanwhile, so a data node asks
# the sentinels who is primary before it starts, and both keep their own last state in /data.
set -euo pipefail

role=${1:-redis}
self=$(hostname)
master_name=${MASTER_NAME:-gad}
IFS=, read -ra sentinels <<<"${SENTINELS:?comma separated host:port}"

say() { echo "entrypoint $self: $*"; }

# Prints "epoch primary flags" of the sentinel with the newest view; fails when none answers.
newest_view() {
  local s
  for s in "${sentinels[@]}"; do
    timeout 1 redis-cli -h "${s%%:*}" -p "${s##*:}" --no-auth-warning --raw SENTINEL MASTER "$master_name" 2>/dev/null |
      awk 'NR % 2 { key = $0; next } { v[key] = $0 } END { if (v["ip"] != "") print v["config-epoch"], v["ip"], v["flags"] }' || true
  done | sort -rn | head -n1 | grep .
}

# Prints the primary to start with. A failover that is under way is waited for: starting as primary now
# would make two of them.
current_primary() {
  local view name flags tries=1
  [[ -f /data/redis.conf ]] && tries=10 # not the first start: the sentinels know better, give them time
  for ((i = 0; i < tries; i++)); do
    if view=$(newest_view); then
      read -r _ name flags <<<"$view"
      if [[ $name != "$self" || $flags != *failover_in_progress* ]]; then
        echo "$name"
        return
      fi
    fi
    ((i + 1 < tries)) && sleep 1
  done
  last_primary
}

# What this node's own settings said when it last ran (Sentinel rewrites them at a failover).
last_primary() {
  if [[ -f /data/redis.conf ]]; then
    awk -v self="$self" '$1 == "replicaof" { p = $2 } END { print p == "" ? self : p }' /data/redis.conf
  else
    echo "${INITIAL_PRIMARY:?}"
  fi
}

write_redis_conf() { # primary
  umask 077
  cat >/data/redis.conf.new <<EOF
port 6379
bind 0.0.0.0
protected-mode no
dir /data
save ""
appendonly yes
appendfsync everysec
requirepass ${REDIS_PASSWORD:?}
masterauth $REDIS_PASSWORD
replica-announce-ip $self
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-ping-replica-period 1
repl-timeout 5
repl-backlog-size 4mb
min-replicas-to-write ${MIN_REPLICAS:-0}
min-replicas-max-lag 2
maxmemory ${MAXMEMORY:-48mb}
maxmemory-policy volatile-lru
EOF
  [[ $1 == "$self" ]] || echo "replicaof $1 6379" >>/data/redis.conf.new
  mv /data/redis.conf.new /data/redis.conf
}

# Sentinel keeps what it learnt in its file, so only the settings that an operator may change are renewed.
write_sentinel_conf() {
  umask 077
  if [[ -f /data/sentinel.conf ]]; then
    sed -i -E "s/^(sentinel down-after-milliseconds $master_name) .*/\1 ${DOWN_AFTER_MS:-2000}/;
               s/^(sentinel failover-timeout $master_name) .*/\1 ${FAILOVER_TIMEOUT_MS:-10000}/" /data/sentinel.conf
    return
  fi
  until getent hosts "${INITIAL_PRIMARY:?}" >/dev/null; do sleep 0.2; done
  cat >/data/sentinel.conf <<EOF
port 26379
bind 0.0.0.0
protected-mode no
dir /data
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $self
sentinel monitor $master_name $INITIAL_PRIMARY 6379 ${QUORUM:-2}
sentinel auth-pass $master_name ${REDIS_PASSWORD:?}
sentinel down-after-milliseconds $master_name ${DOWN_AFTER_MS:-2000}
sentinel failover-timeout $master_name ${FAILOVER_TIMEOUT_MS:-10000}
sentinel parallel-syncs $master_name 1
EOF
}

case $role in
redis)
  primary=$(current_primary)
  write_redis_conf "$primary"
  say "starting redis, primary is $primary"
  exec redis-server /data/redis.conf
  ;;
sentinel)
  write_sentinel_conf
  exec redis-sentinel /data/sentinel.conf
  ;;
*)
  say "unknown role $role: want redis or sentinel"
  exit 2
  ;;
esac
