#!/bin/bash
# Runs once, on the first primary. Patroni passes a connection string. Roles, database, extension and
# schemas only: the application makes its own tables when it starts.
set -euo pipefail
psql -qv ON_ERROR_STOP=1 -v app="${PG_APP_PASSWORD:?}" -v exporter="${PG_EXPORTER_PASSWORD:?}" \
  -v simulacro="${PG_SIMULACRO_PASSWORD:?}" "$1" <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'app';
CREATE ROLE exporter LOGIN PASSWORD :'exporter' IN ROLE pg_monitor;
CREATE ROLE simulacro LOGIN PASSWORD :'simulacro' IN ROLE pg_monitor;
CREATE DATABASE gad;
\c gad
CREATE EXTENSION postgis;
CREATE SCHEMA gad AUTHORIZATION app;
CREATE SCHEMA simulacro AUTHORIZATION simulacro;
ALTER ROLE app IN DATABASE gad SET search_path = gad, public;
ALTER ROLE simulacro IN DATABASE gad SET search_path = simulacro, public;
-- Where a timeline began is only in the history files under pg_wal. Of the server's files this shows those of its own
-- data folder, no others.
GRANT EXECUTE ON FUNCTION pg_read_file(text) TO simulacro;
SQL

# Whoever breaks things on purpose: what the application owns, and what takes a superuser otherwise. Not the application's role,
# and not that of the canaries, so that each can do no more than it needs.
[[ -n ${PG_FAULTS_PASSWORD:-} ]] || exit 0
psql -qv ON_ERROR_STOP=1 -v faults="$PG_FAULTS_PASSWORD" "$1" <<'SQL'
CREATE ROLE faults LOGIN PASSWORD :'faults' IN ROLE pg_monitor, app;
\c gad
GRANT EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume() TO faults;
SQL
