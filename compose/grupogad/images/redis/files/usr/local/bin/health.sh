#!/bin/sh
# Healthy: a data node that answers and, as a replica, follows its primary; a sentinel that sees a quorum.
case $1 in
redis) redis-cli --no-auth-warning --raw INFO replication | tr -d '\r' | grep -qxE 'role:master|master_link_status:up' ;;
sentinel) redis-cli -p 26379 --raw SENTINEL CKQUORUM "${MASTER_NAME:-gad}" | grep -q ^OK ;;
esac
