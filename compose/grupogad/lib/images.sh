# shellcheck shell=bash
# `stack images`: everything that is missing or out of date, side by side where it can be.

cmd_images() {
  local start=$EPOCHREALTIME
  check_engine
  mkdir -p "$BUILD/log"
  exec 9>"$BUILD/lock"
  flock -n 9 || { say "another build is under way, waiting for it" && flock 9; }
  : >"$BUILD/summary"
  side_by_side programs:make_programs base:make_ground
  local base image jobs=()
  base=$(base_hash)
  for image in "${PACKAGED[@]}"; do jobs+=("$image:make_packaged $image $base"); done
  for image in "${GO_IMAGES[@]}"; do jobs+=("$image:make_go $image"); done
  side_by_side "${jobs[@]}"
  if [[ -s $BUILD/summary ]]; then cat "$BUILD/summary"; else say "images are up to date"; fi
  say "images ready in $(seconds_since "$start") s"
}

make_ground() { make_os && make_base "$(base_hash)"; }

# side_by_side LABEL:COMMAND...: runs all at once, each with its own log; shows the end of it where one fails.
side_by_side() {
  local job label pids=() labels=() failed=0
  for job in "$@"; do
    label=${job%%:*}
    # shellcheck disable=SC2086 # the command carries its arguments
    ${job#*:} >"$BUILD/log/$label" 2>&1 9>&- &
    pids+=($!) labels+=("$label")
  done
  for i in "${!pids[@]}"; do
    wait "${pids[i]}" && continue
    failed=1
    warn "making ${labels[i]} failed:"
    tail -n 15 "$BUILD/log/${labels[i]}" | sed 's/^/       /' >&2
  done
  ((!failed)) || die $EXIT_FAILED "not all images could be made" "the whole output is under ${BUILD#"$PWD"/}/log"
}

# check_images refuses to start with images missing; it does not build them by itself.
check_images() {
  local image missing=()
  for image in "${PACKAGED[@]}" "${GO_IMAGES[@]}"; do
    docker image inspect "gad/$image:dev" >/dev/null 2>&1 || missing+=("gad/$image:dev")
  done
  ((${#missing[@]} == 0)) || die $EXIT_ENVIRONMENT "images are missing: ${missing[*]}" "make images   (or: compose/grupogad/stack images)"
}
