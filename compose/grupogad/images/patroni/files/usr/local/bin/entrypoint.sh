#!/bin/bash
# Writes Patroni's settings from the environment and hands over to it.
set -euo pipefail
self=$(hostname)
first_etcd=${ETCD_HOSTS:?comma separated host:port}
first_etcd=${first_etcd%%,*}

# Patroni sleeps 5 s when etcd is not there yet; looking first makes the first start quicker. After a
# while it is left to Patroni, which keeps trying for good.
for ((i = 0; i < 50; i++)); do
  healthcheck "http://$first_etcd/health" 2>/dev/null && break
  sleep 0.2
done

umask 077
cat >/tmp/patroni.yml <<EOF
scope: ${SCOPE:-gad}
name: $self
restapi: {listen: "0.0.0.0:8008", connect_address: "$self:8008"}
etcd3: {hosts: "$ETCD_HOSTS"}
bootstrap:
  dcs:
    ttl: ${TTL:-20}
    loop_wait: ${LOOP_WAIT:-2}
    retry_timeout: ${RETRY_TIMEOUT:-3}
    maximum_lag_on_failover: 1048576
    synchronous_mode: ${SYNC_MODE:-false}
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        wal_level: replica
        hot_standby: "on"
        wal_log_hints: "on"
        max_connections: 100
        max_wal_senders: 10
        max_replication_slots: 10
        wal_keep_size: 64MB
        max_wal_size: 256MB
        shared_buffers: 32MB
        wal_receiver_timeout: 5s
        wal_sender_timeout: 5s
        wal_retrieve_retry_interval: 500ms
        track_activity_query_size: 1024
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums, no-sync, {wal-segsize: "1"}] # small, so that the archive shows whole segments soon
  post_bootstrap: /usr/local/bin/post_bootstrap.sh
postgresql:
  listen: 0.0.0.0:5432
  connect_address: $self:5432
  data_dir: /var/lib/postgresql/patroni/data
  bin_dir: /usr/lib/postgresql/15/bin
  pgpass: /tmp/pgpass
  create_replica_methods: [basebackup]
  # Without a fast checkpoint a new replica waits minutes for the next one.
  basebackup: [{checkpoint: fast}]
  # A member that diverged and can't be rewound is copied anew, so that it always rejoins by itself.
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  authentication:
    superuser: {username: postgres, password: "${PG_SUPER_PASSWORD:?}"}
    replication: {username: replicator, password: "${PG_REPL_PASSWORD:?}"}
    rewind: {username: rewinder, password: "${PG_REWIND_PASSWORD:?}"}
  pg_hba:
    - local all all trust
    - host replication replicator all scram-sha-256
    - host all all all scram-sha-256
  parameters:
    unix_socket_directories: /tmp
    log_line_prefix: "%m [%p] "
watchdog: {mode: "off"}
EOF
exec patroni /tmp/patroni.yml
