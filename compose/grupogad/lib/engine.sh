# shellcheck shell=bash
# The Docker Engine and the compose tool: which one there is, and what to do when there is none.

COMPOSE=()

check_engine() {
  need docker "docker.io"
  local err
  err=$(docker version --format '{{.Server.Version}}' 2>&1 >/dev/null) && return
  case $err in
  *"permission denied"*) die $EXIT_ENVIRONMENT "no permission to talk to the Docker Engine" \
    "sudo usermod -aG docker \$USER, then log in again (or run this with sudo)" ;;
  *) die $EXIT_ENVIRONMENT "the Docker Engine can't be reached: ${err##*$'\n'}" \
    "start it (sudo systemctl start docker) or point DOCKER_HOST at it" ;;
  esac
}

# find_compose prefers v2, takes 1.29 otherwise, and says which.
find_compose() {
  if docker compose version >/dev/null 2>&1; then
    COMPOSE=(docker compose)
  elif command -v docker-compose >/dev/null 2>&1; then
    COMPOSE=(docker-compose)
  else
    die $EXIT_ENVIRONMENT "neither 'docker compose' nor docker-compose is there" \
      "install one with: sudo apt-get install -y docker-compose   (or docker-compose-plugin, from Docker's own repository)"
  fi
}

compose_name() { printf '%s (%s)' "${COMPOSE[*]}" "$("${COMPOSE[@]}" version --short 2>/dev/null)"; }

dc() { "${COMPOSE[@]}" -p "$GAD_PROJECT" -f "$HERE/compose.yaml" "$@"; }

# containers [docker ps arguments]: ids of the project's containers, found by compose's labels, never by name.
containers() { docker ps -q --no-trunc --filter "label=com.docker.compose.project=$GAD_PROJECT" "$@"; }

container_of() { containers --filter "label=com.docker.compose.service=$1" | head -n1; }
