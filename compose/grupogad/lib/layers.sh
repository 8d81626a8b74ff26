# shellcheck shell=bash
# Building one image. Beside :dev each has a tag with the hash of what it was made from; what has not changed
# is not built. One image is three layers: gad/base (the system), gad/X-packages (apt packages), gad/X (files).

readonly PACKAGED=(redis patroni etcd-haproxy monitoring)
readonly GO_IMAGES=(api bot sink telegram)
readonly SUITE=bookworm
BUILD=$HERE/.state/build

hash_tree() { # PATH...: contents, names and execute bits
  local p
  for p in "$@"; do
    (cd "$p" && find . -type f | LC_ALL=C sort | while IFS= read -r f; do
      [[ -x $f ]] && printf x
      sha256sum "$f"
    done)
  done | sha256sum | cut -d' ' -f1
}

hash_text() { printf '%s\n' "$@" | sha256sum | cut -d' ' -f1; }

image_id() { docker image inspect -f '{{.Id}}' "$1" 2>/dev/null; }

# is_current NAME HASH: NAME:dev was made from the inputs with this hash.
is_current() { local id; id=$(image_id "$1:dev") && [[ $id == "$(image_id "$1:in-${2:0:16}")" ]]; }

# mark NAME HASH: notes what NAME:dev was made from, and forgets the one before, which frees it.
mark() {
  local old
  docker tag "$1:dev" "$1:in-${2:0:16}"
  for old in $(docker image ls --format '{{.Repository}}:{{.Tag}}' "$1" | grep -F ":in-" | grep -vF ":in-${2:0:16}"); do
    docker rmi "$old" >/dev/null 2>&1 || true # still used by a container
  done
}

build_args() { # proxies of this machine, also the one only apt knows; a proxy on localhost needs the host's network
  local v proxy
  for v in http_proxy https_proxy no_proxy; do
    proxy=${!v:-}
    [[ -z $proxy && $v == http_proxy ]] && proxy=$(apt-config shell P Acquire::http::Proxy 2>/dev/null | sed -n "s/^P='\(.*\)'$/\1/p")
    [[ -n $proxy ]] && printf '%s\n' --build-arg "$v=$proxy"
    [[ $v != no_proxy && $proxy =~ (127\.0\.0\.1|localhost) ]] && printf '%s\n' --network host
  done
  return 0
}

build() { # NAME HASH CONTEXT
  local name=$1 hash=$2 context=$3 args
  mapfile -t args < <(build_args)
  chmod -R u=rwX,go=rX "$context" # whatever the umask of the checkout was
  DOCKER_BUILDKIT=0 docker build -q "${args[@]}" -t "$name:dev" "$context" && mark "$name" "$hash"
}

# host_root NAME PRE-TREE PACKAGES: NAME:dev from a root file system made on this host, where containers or
# the registry are out of reach. The only place that knows mmdebstrap and debootstrap.
host_root() {
  local name=$1 pre=$2 packages=$3 root tar=$BUILD/root-${1##*/}.tar files=$HERE/images/base/files
  if command -v mmdebstrap >/dev/null 2>&1; then
    mmdebstrap --variant=minbase ${packages:+"--include=${packages// /,}"} --skip=cleanup/apt/lists \
      --aptopt="$files/etc/apt/apt.conf.d/90-simulacro" --dpkgopt="$files/etc/dpkg/dpkg.cfg.d/90-simulacro" \
      --essential-hook="cp -a '$pre/.' \"\$1/\"" --customize-hook="[ ! -f \"\$1/setup/install\" ] || chroot \"\$1\" sh /setup/install" \
      "$SUITE" "$tar" ${GAD_MIRROR:+"$GAD_MIRROR"} || return 1
  elif command -v debootstrap >/dev/null 2>&1 && [[ $EUID == 0 && -z $packages ]]; then
    root=$(mktemp -d)
    debootstrap --variant=minbase "$SUITE" "$root" ${GAD_MIRROR:+"$GAD_MIRROR"} && tar -C "$root" -cf "$tar" .
    rm -rf "$root"
  else
    echo "neither the registry nor mmdebstrap can give $name; install it with: sudo apt-get install -y mmdebstrap" >&2
    return 1
  fi
  # By way of a file: a pipe that breaks off would leave half a system under a good name.
  docker import --change "LABEL io.simulacro.reference=true" \
    --change "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$tar" "$name:dev" && rm -f "$tar"
}

make_os() {
  image_id gad/os:dev >/dev/null && return
  if timeout 120 docker pull -q debian:$SUITE-slim >/dev/null; then
    docker tag debian:$SUITE-slim gad/os:dev
  else
    mkdir -p "$BUILD/none" && host_root gad/os "$BUILD/none" ""
  fi
}

base_hash() { hash_text "$(image_id gad/os:dev || echo none)" "$(hash_tree "$HERE/images/base")"; }

make_base() { # BASE-HASH
  is_current gad/base "$1" || build gad/base "$1" "$(context base "$HERE/images/base")"
}

context() { # NAME TREE...: a fresh build context with copies of the trees
  local dir=$BUILD/context/$1 tree
  shift
  rm -rf "$dir" && mkdir -p "$dir"
  for tree in "$@"; do cp -a "$tree/." "$dir/"; done
  printf '%s' "$dir"
}

packages_context() { # IMAGE: the context of its package layer
  local dir
  dir=$(context "$1-packages" "$HERE/images/packages")
  mkdir -p "$dir/pre/setup"
  [[ ! -d $HERE/images/$1/pre ]] || cp -a "$HERE/images/$1/pre/." "$dir/pre/"
  cp "$HERE/images/$1/packages" "$HERE/images/$1/dirs" "$dir/pre/setup/"
  mv "$dir/install" "$dir/pre/setup/"
  printf '%s' "$dir"
}

# make_packages IMAGE HASH CONTEXT: apt inside a build; where containers reach no packages, on the host.
make_packages() {
  local name=gad/$1-packages
  is_current "$name" "$2" && return
  if [[ ${GAD_PACKAGES_FROM:-container} == container ]]; then
    build "$name" "$2" "$3" && return
    echo "containers reach no packages; making the root file system on the host instead" >&2
  fi
  host_root "$name" "$3/pre" "$(<"$HERE/images/$1/packages")" && mark "$name" "$2"
}

make_packaged() { # IMAGE BASE-HASH
  local start=$EPOCHREALTIME packages hash dir
  dir=$(packages_context "$1")
  packages=$(hash_text "$2" "$(hash_tree "$dir")")
  hash=$(hash_text "$packages" "$(hash_tree "$HERE/images/$1/files" "$BUILD/healthcheck")" "$(cat "$HERE/images/$1/Dockerfile")")
  is_current "gad/$1" "$hash" && return
  make_packages "$1" "$packages" "$dir" || return 1
  dir=$(context "$1" "$HERE/images/$1")
  mkdir -p "$dir/files/usr/local/bin" && cp "$BUILD/healthcheck/healthcheck" "$dir/files/usr/local/bin/"
  build "gad/$1" "$hash" "$dir" && echo "built gad/$1 in $(seconds_since "$start") s" >>"$BUILD/summary"
}

make_go() { # IMAGE
  local start=$EPOCHREALTIME hash dir
  hash=$(hash_text "$(hash_tree "$HERE/images/go" "$BUILD/healthcheck")" "$(sha256sum <"$BUILD/bin/$1")")
  is_current "gad/$1" "$hash" && return
  dir=$(context "$1" "$HERE/images/go" "$BUILD/healthcheck")
  cp "$BUILD/bin/$1" "$dir/program" && mkdir "$dir/data"
  build "gad/$1" "$hash" "$dir" && echo "built gad/$1 in $(seconds_since "$start") s" >>"$BUILD/summary"
}

# make_programs builds the Go mains, static; Go's own cache makes it quick when nothing changed.
make_programs() {
  need go "golang-go (1.26 or newer, or from go.dev)"
  mkdir -p "$BUILD/bin" "$BUILD/healthcheck"
  (cd "$HERE" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$BUILD/bin/" ./healthcheck ./rules "${GO_IMAGES[@]/#/./}") ||
    return 1
  cmp -s "$BUILD/bin/healthcheck" "$BUILD/healthcheck/healthcheck" || cp "$BUILD/bin/healthcheck" "$BUILD/healthcheck/healthcheck"
}
