# shellcheck shell=bash
# The /24 whose lower half holds the fixed addresses of the services (compose.yaml).

# pick_network chooses GAD_NET, the first three numbers of a /24 that no network of the engine and no route of the host uses;
# where a network of this project is left from before, compose takes that one, so its addresses count.
pick_network() {
  local taken net
  GAD_NET=${GAD_NET:-$(left_network)}
  if [[ -n $GAD_NET ]]; then
    [[ $GAD_NET =~ ^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$ ]] || die $EXIT_USAGE "GAD_NET=$GAD_NET is no network" "three numbers, for example GAD_NET=10.213.0"
    return
  fi
  taken=$(taken_networks)
  for net in 10.213.{0..15} 172.31.{240..254} 192.168.{240..254}; do
    overlaps "$net.0" "$taken" || { GAD_NET=$net && return; }
  done
  die $EXIT_ENVIRONMENT "no free /24 among those that this script tries" "choose one: GAD_NET=10.99.1 $0 up"
}

left_network() {
  docker network ls -q --filter "label=com.docker.compose.project=$GAD_PROJECT" |
    xargs -r docker network inspect -f '{{range .IPAM.Config}}{{println .Subnet}}{{end}}' | sed -nE '1s/\.[0-9]+\/24$//p'
}

taken_networks() {
  docker network ls -q | xargs -r docker network inspect -f '{{range .IPAM.Config}}{{println .Subnet}}{{end}}'
  ip -4 route show 2>/dev/null | awk '{ print $1 }'
}

# overlaps ADDRESS LIST: whether the address' /24 shares addresses with a network of the list.
overlaps() {
  awk -v net="$1" '
    function number(a, p) { split(a, p, "."); return ((p[1] * 256 + p[2]) * 256 + p[3]) * 256 + p[4] }
    BEGIN { mine = number(net) }
    /^[0-9.]+\/[0-9]+$/ {
      split($1, c, "/")
      size = 2 ^ (32 - (c[2] < 24 ? c[2] : 24))
      if (int(mine / size) == int(number(c[1]) / size)) hit = 1
    }
    END { exit !hit }' <<<"$2"
}
