# shellcheck shell=bash
# A lab of network namespaces: one Kubernetes node, pods behind it, a client outside. To be sourced.
#
#     client 192.168.77.100 ── eth0 ─ node 192.168.77.2 ─┬─ pod 10.244.1.11
#            fd00:77::100                 fd00:77::2     └─ pod 10.244.1.12 …
#
# Pods hang on routed veths, as the CNI plugin ptp makes them: each has a /32 and the node as its gateway 10.244.1.1, so
# that what one pod sends to another passes the node's chains (over a bridge it would need br_netfilter). Nothing
# outside the namespaces knd-* is touched; all of them go away with lab_down.
#
#   lab_require           ends the program with a clear line when namespaces cannot be made here
#   lab_up                takes the lab's lock, removes what an earlier run left, makes node and client
#   lab_pod NAME N        makes pod NAME with addresses 10.244.1.N and fd00:10:244:1::N
#   lab_in NS COMMAND...  runs a command in node, client or a pod, in the foreground
#   lab_start NS LOG COMMAND...   the same in the background; its pid is in lab_pid
#   lab_serve NAME [peer.py's options]   starts the pod's servers and waits until they listen
#   lab_down              ends what lab_start started and removes the namespaces

lab_prefix=${KUBENATD_LAB_PREFIX:-knd}
lab_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_namespaces=()
lab_pids=()
lab_pid=
lab_ipv6=false
lab_lock=${TMPDIR:-/tmp}/kubenatd-lab-$lab_prefix.lock
lab_logs=
lab_lock_fd=

lab_die() {
  echo "lab: $*" >&2
  exit 1
}

lab_require() {
  ((EUID == 0)) || lab_die "network namespaces and nf_tables need root: run this as root"
  local tool
  for tool in ip iptables flock python3; do
    command -v "$tool" >/dev/null || lab_die "$tool is not installed: run scripts/install.sh"
  done
  local why
  why=$(unshare --net ip link add lab0 type veth peer name lab1 2>&1) ||
    lab_die "this machine lets nobody make network namespaces with veths: ${why%%$'\n'*}"
  why=$(unshare --net iptables -w -t nat -S 2>&1) || lab_die "the kernel has no nf_tables nat: ${why%%$'\n'*}"
}

lab_in() {
  local name=$1
  shift
  ip netns exec "$lab_prefix-$name" "$@"
}

# The lock is not handed on: a server that outlives a killed script would hold it.
lab_start() {
  local name=$1 log=$2
  shift 2
  ip netns exec "$lab_prefix-$name" "$@" {lab_lock_fd}>&- </dev/null >"$log" 2>&1 &
  lab_pid=$!
  lab_pids+=("$lab_pid")
}

lab_up() {
  exec {lab_lock_fd}>"$lab_lock"
  flock --nonblock "$lab_lock_fd" || lab_die "another lab named $lab_prefix is up (its lock: $lab_lock)"
  local stale
  while read -r stale _; do
    if [[ $stale == "$lab_prefix"-* ]]; then lab_remove_namespace "$stale"; fi
  done < <(ip netns list 2>/dev/null)
  lab_logs=$(mktemp -d)
  if [[ -e /proc/sys/net/ipv6/conf/all/forwarding ]]; then lab_ipv6=true; fi

  lab_add_namespace node
  lab_add_namespace client
  lab_in node sysctl -qw net.ipv4.ip_forward=1
  if $lab_ipv6; then lab_in node sysctl -qw net.ipv6.conf.all.forwarding=1; fi

  lab_in node ip link add eth0 type veth peer name eth0 netns "$lab_prefix-client"
  lab_address node eth0 192.168.77.2/24 fd00:77::2/64
  lab_address client eth0 192.168.77.100/24 fd00:77::100/64
  # The outside world sends service addresses to the node, as a load balancer or a router would.
  lab_route client default 192.168.77.2 fd00:77::2 eth0
  # And a node has a way out: without one the kernel refuses to send to a service address before any chain sees it.
  lab_route node default 192.168.77.100 fd00:77::100 eth0
}

lab_pod() {
  local name=$1 number=$2 device
  device=veth$number
  lab_add_namespace "$name"
  lab_in node ip link add "$device" type veth peer name eth0 netns "$lab_prefix-$name"
  lab_address node "$device" 10.244.1.1/32 fd00:10:244:1::1/128
  lab_address "$name" eth0 "10.244.1.$number/32" "fd00:10:244:1::$number/128"
  lab_in node ip route add "10.244.1.$number/32" dev "$device"
  if $lab_ipv6; then lab_in node ip -6 route add "fd00:10:244:1::$number/128" dev "$device"; fi
  lab_route "$name" default 10.244.1.1 fd00:10:244:1::1 eth0
}

lab_serve() {
  local name=$1 log tries=0
  log=$lab_logs/$name
  lab_start "$name" "$log" python3 "$lab_here/lab/peer.py" serve "$@"
  until grep -q ready "$log"; do
    if ! kill -0 "$lab_pid" 2>/dev/null || ((++tries > 200)); then
      lab_die "the servers of pod $name do not start: $(tail -n 1 "$log")"
    fi
    sleep 0.05
  done
}

lab_down() {
  local pid name
  for pid in "${lab_pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${lab_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  lab_pids=()
  for name in "${lab_namespaces[@]}"; do lab_remove_namespace "$name"; done
  lab_namespaces=()
  if [[ -n $lab_logs ]]; then rm -rf "$lab_logs"; fi
  if [[ -n $lab_lock_fd ]]; then exec {lab_lock_fd}>&-; fi
  lab_lock_fd=
}

# The rest is for this file only.

lab_add_namespace() {
  local name=$lab_prefix-$1
  ip netns add "$name" || lab_die "cannot make the network namespace $name"
  lab_namespaces+=("$name")
  ip -n "$name" link set lo up
  # No duplicate address detection: link-local addresses would be unusable, and neighbours unanswered, for a second.
  if $lab_ipv6; then
    lab_in "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  fi
}

# Only processes inside the lab's own namespace are ended.
lab_remove_namespace() {
  local pid
  for pid in $(ip netns pids "$1" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
  ip netns delete "$1" 2>/dev/null || true
}

lab_address() {
  local name=$1 device=$2 ipv4=$3 ipv6=$4
  lab_in "$name" ip address add "$ipv4" dev "$device"
  # nodad: an address must be usable at once.
  if $lab_ipv6; then lab_in "$name" ip address add "$ipv6" dev "$device" nodad; fi
  lab_in "$name" ip link set "$device" up
}

lab_route() {
  local name=$1 destination=$2 ipv4=$3 ipv6=$4 device=$5
  lab_in "$name" ip route add "$destination" via "$ipv4" dev "$device" onlink
  if $lab_ipv6; then lab_in "$name" ip -6 route add "$destination" via "$ipv6" dev "$device" onlink; fi
}
