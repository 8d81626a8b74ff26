#!/bin/sh
# One etcd member; its name is its host name, the whole membership comes in ETCD_PEERS (name=url,...).
set -eu
self=$(hostname)
exec etcd --name "$self" --data-dir /etcd/data \
  --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$self:2379" \
  --listen-peer-urls http://0.0.0.0:2380 --initial-advertise-peer-urls "http://$self:2380" \
  --initial-cluster "${ETCD_PEERS:?}" --initial-cluster-state new --initial-cluster-token gad \
  --auto-compaction-retention 1 --quota-backend-bytes 67108864 --logger zap --log-level warn
