#!/usr/bin/env bash
# A cluster's network on this machine, in network namespaces, with a real nginx as Ingress controller and kubenatd on
# two nodes. Run as root; nothing outside the lab's namespaces and /run/kubenatd-lab is changed.
#
#   scripts/lab.sh up                   makes it, and says where things are
#   scripts/lab.sh status               what runs, and what the ways in answer
#   scripts/lab.sh exec NS COMMAND...   runs a command in host, client, node-1, node-2 or a pod's name
#   scripts/lab.sh down                 removes it
#
# KUBENATD_LAB=NAME names another lab than knd: several may be up. KUBENATD=PATH runs that binary instead of
# build/kubenatd.
set -euo pipefail
# shellcheck source=scripts/lab.bash
source "$(dirname "${BASH_SOURCE[0]}")/lab.bash"

usage() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

up() {
  lab_require
  [[ -x $lab_binary ]] || lab_die "$lab_binary is not there: build it, or set KUBENATD"
  trap lab_down EXIT
  lab_up keep
  lab_cluster
  local page_1 page_2
  page_1=$(lab_page node-1)
  page_2=$(lab_page node-2)
  trap - EXIT
  cat <<END
The lab $lab_name is up; the objects that kubenatd and the Ingress controller follow are in
  $lab_objects
Edit them, or look around:
  scripts/lab.sh status
  scripts/lab.sh exec host curl -H 'Host: shop.local' http://localhost:8080/
  scripts/lab.sh exec node-1 iptables -t nat -L KUBE-SERVICES -n
What the nodes know, in a browser on this machine:
  node-1   $page_1
  node-2   $page_2
END
}

status() {
  lab_attach
  local tag address file
  local -a pod
  printf 'lab %s, objects in %s\n\n%-12s %-8s %-13s %-6s %s\n' "$lab_name" "$lab_objects" pod node address ready program
  for file in "$lab_dir"/pods/*; do
    tag=${file##*/}
    mapfile -t pod <"$file"
    address=$(lab_address_of "$tag")
    printf '%-12s %-8s %-13s %-6s %s\n' "$tag" "${pod[0]}" "$address" \
      "$(sed -n 's/.*Ready, status: "\(.*\)".*/\1/p' "$lab_objects/pod-$tag.yaml" 2>/dev/null)" \
      "${pod[2]} $(lab_runs "$tag" && echo runs || echo "does not run")"
  done
  echo
  for tag in node-1 node-2; do
    printf '%-12s kubenatd %-13s %s\n' "$tag" "$(lab_runs "kubenatd-$tag" && echo runs || echo "does not run")" \
      "$(lab_page "$tag")"
  done
  echo
  way "from the host, port mapping and hostPort" host 127.0.0.1 http://shop.local:8080/
  way "the same by TLS" host 127.0.0.1 https://shop.local:8443/
  way "from the host, NodePort" host 172.18.0.2 http://shop.local:31290/
  way "from outside, load balancer address" client 203.0.113.80 http://203.0.113.80/
  way "from node-2, ClusterIP" node-2 10.96.0.80 http://10.96.0.80/
}
way() { printf '%-41s %-27s %s\n' "$1" "$4" "$(lab_web "$2" "$3" "$4")"; }

case "${1:-}" in
  up) up ;;
  status) status ;;
  exec)
    (($# > 2)) || lab_die "usage: scripts/lab.sh exec NS COMMAND..."
    lab_attach
    shift
    lab_in "$@"
    ;;
  down)
    lab_attach
    lab_down
    ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
