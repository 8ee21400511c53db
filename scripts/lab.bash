# shellcheck shell=bash
# A lab of network namespaces: a kind cluster's network on one machine, with real programs in it. To be sourced.
#
#     client 192.168.77.100 ─ 192.168.77.1 host 172.18.0.1 ─┬─ 172.18.0.2 node-1 ── pods 10.244.1.N
#                              :8080 → node-1:80            └─ 172.18.0.3 node-2 ── pods 10.244.2.N
#                              :8443 → node-1:443
#
# (IPv6: fd00:77::/64, fd00:18::/64 and fd00:10:244:1::N, but not for the host's port mapping.) Pods hang on routed
# veths, as the CNI plugin ptp makes them: each has a /32 and its node as the gateway, so that what one pod sends to
# another passes the node's chains. Nothing outside the namespaces NAME-* and the folder /run/kubenatd-lab/NAME is
# touched, and labs of different names do not meet; NAME is KUBENATD_LAB, or knd.
#
#   lab_require           ends the program with a clear line when there can be no lab here; lab_obstacle prints the line
#   lab_up [keep]         makes host, client and nodes; without `keep` the lab belongs to this shell: what a killed one
#                         leaves behind is removed by the next lab_up of anybody
#   lab_attach            uses a lab that is up
#   lab_down              ends what runs in the lab and removes it
#   lab_in NS COMMAND...  runs a command in host, client, node-N or a pod, in the foreground
#   lab_start TAG NS COMMAND...   the same in the background; its output goes to $lab_dir/log/TAG; lab_stop TAG [SIGNAL]
#   lab_cluster           kubenatd on the nodes, the story's objects and pods; see lab/cluster.bash for each
#   lab_web NS ADDRESS URL [curl's options]     one request; prints the status and the first line, or what went wrong
#   lab_eventually COMMAND...   until it succeeds; false when it never does

lab_name=${KUBENATD_LAB:-knd}
lab_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_root=/run/kubenatd-lab
lab_dir=$lab_root/$lab_name
lab_objects=$lab_dir/objects
lab_config=$lab_here/../manifests/demo-config.yaml
lab_binary=${KUBENATD:-$lab_here/../build/kubenatd}
lab_ipv6=false
if [[ -e /proc/sys/net/ipv6/conf/all/forwarding ]]; then lab_ipv6=true; fi
lab_lock_fd=
lab_mine=false # this shell made the lab or was told to use it

# shellcheck source=scripts/lab/cluster.bash
source "$lab_here/lab/cluster.bash"

lab_die() {
  echo "lab: $*" >&2
  exit 1
}

# It becomes part of names and of a folder that is removed.
[[ $lab_name =~ ^[a-z0-9][-a-z0-9]*$ ]] || lab_die "KUBENATD_LAB: a name is made of a-z, 0-9 and -"

lab_obstacle() {
  if ((EUID != 0)); then
    echo "network namespaces and nf_tables need root"
    return
  fi
  local tool why
  for tool in ip iptables flock python3 curl openssl nginx; do
    if ! command -v "$tool" >/dev/null; then
      echo "$tool is not installed (scripts/install.sh)"
      return
    fi
  done
  if ! python3 -c 'import yaml' 2>/dev/null; then
    echo "python3 has no yaml (scripts/install.sh)"
  elif ! why=$(unshare --net ip link add lab0 type veth peer name lab1 2>&1); then
    echo "no network namespaces with veths here: ${why%%$'\n'*}"
  elif ! why=$(unshare --net iptables -w -t nat -S 2>&1); then
    echo "the kernel has no nf_tables nat: ${why%%$'\n'*}"
  elif ! why=$(mkdir -p "$lab_root" /run/netns 2>&1); then
    echo "nothing can be written below /run: $why"
  fi
}

lab_require() {
  local why
  why=$(lab_obstacle)
  if [[ -n $why ]]; then lab_die "$why"; fi
}

lab_in() {
  local name=$1
  shift
  ip netns exec "$lab_name-$name" "$@"
}

# The lock is not handed on: a server that outlives a killed script would hold it.
lab_start() {
  local tag=$1 name=$2
  shift 2
  if [[ -n $lab_lock_fd ]]; then
    ip netns exec "$lab_name-$name" "$@" {lab_lock_fd}>&- </dev/null >"$lab_dir/log/$tag" 2>&1 &
  else
    ip netns exec "$lab_name-$name" "$@" </dev/null >"$lab_dir/log/$tag" 2>&1 &
  fi
  echo $! >"$lab_dir/pid/$tag"
  disown  # no line about its end
}

lab_stop() {
  local pid
  pid=$(cat "$lab_dir/pid/$1") || return
  kill -"${2:-TERM}" "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
  rm -f "$lab_dir/pid/$1"
}

lab_runs() { [[ -s $lab_dir/pid/$1 ]] && kill -0 "$(cat "$lab_dir/pid/$1")" 2>/dev/null; }

lab_eventually() {
  local tries=0
  until "$@" >/dev/null 2>&1; do
    if ((++tries > 400)); then return 1; fi
    sleep 0.05
  done
}

lab_up() {
  mkdir -p "$lab_root"
  local all
  exec {all}>"$lab_root/lock"
  flock "$all"
  lab_sweep
  mkdir "$lab_dir" 2>/dev/null || lab_die "a lab named $lab_name is up: scripts/lab.sh down removes it"
  lab_mine=true
  if [[ ${1:-} == keep ]]; then touch "$lab_dir/keep"; else
    exec {lab_lock_fd}>"$lab_dir/lock"
    flock "$lab_lock_fd"
  fi
  exec {all}>&-
  mkdir "$lab_dir"/{objects,log,pid,pods}
  chmod 755 "$lab_dir"

  local name
  for name in host client node-1 node-2; do lab_add_namespace "$name"; done
  lab_links host <<<"link add kind0 type bridge
address add 172.18.0.1/16 dev kind0
address add fd00:18::1/64 dev kind0 nodad
link set kind0 up
link add eth0 type veth peer name eth0 netns $lab_name-client
address add 192.168.77.1/24 dev eth0
address add fd00:77::1/64 dev eth0 nodad
link set eth0 up
link add node-1 type veth peer name eth0 netns $lab_name-node-1
link set node-1 master kind0 up
link add node-2 type veth peer name eth0 netns $lab_name-node-2
link set node-2 master kind0 up
route add default via 192.168.77.100 dev eth0
route add 10.244.1.0/24 via 172.18.0.2
route add 10.244.2.0/24 via 172.18.0.3
route add 203.0.113.0/24 via 172.18.0.2
route add fd00:10:244:1::/64 via fd00:18::2 dev kind0
route add fd00:10:244:2::/64 via fd00:18::3 dev kind0"
  # The outside world sends service addresses to the node, as a load balancer or a router would.
  lab_links client <<<"address add 192.168.77.100/24 dev eth0
address add fd00:77::100/64 dev eth0 nodad
link set eth0 up
route add default via 192.168.77.1 dev eth0
route add default via fd00:77::1 dev eth0"
  local number other
  for number in 1 2; do
    other=$((3 - number))
    # What is meant for a pod that is gone ends at its node instead of going round by the default route; and that has to
    # be there: without one the kernel refuses to send to a service address before any chain sees it.
    lab_links "node-$number" <<<"address add 172.18.0.$((number + 1))/16 dev eth0
address add fd00:18::$((number + 1))/64 dev eth0 nodad
link set eth0 up
route add default via 172.18.0.1 dev eth0
route add default via fd00:18::1 dev eth0
route add unreachable 10.244.$number.0/24
route add unreachable fd00:10:244:$number::/64
route add 10.244.$other.0/24 via 172.18.0.$((other + 1))
route add fd00:10:244:$other::/64 via fd00:18::$((other + 1)) dev eth0"
  done
  # As Docker writes them for -p 8080:80 -p 8443:443 with its "userland-proxy" off: localhost is mapped as well.
  lab_in host sysctl -qw net.ipv4.conf.kind0.route_localnet=1
  lab_in host iptables-restore -w <<'END'
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -o kind0 -m addrtype --src-type LOCAL -j MASQUERADE
-A DOCKER ! -i kind0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80
-A DOCKER ! -i kind0 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 172.18.0.2:443
COMMIT
END
}

lab_attach() {
  [[ -d $lab_objects ]] || lab_die "no lab named $lab_name is up: scripts/lab.sh up makes one"
  lab_mine=true
}

lab_down() {
  if ! $lab_mine; then return; fi
  lab_remove "$lab_dir"
  lab_mine=false
  if [[ -n $lab_lock_fd ]]; then exec {lab_lock_fd}>&-; fi
  lab_lock_fd=
}

lab_web() {
  local name=$1 address=$2 url=$3 out status=0
  shift 3
  # --connect-to: the URL keeps its name, as if DNS or /etc/hosts had led to the address.
  out=$(lab_in "$name" curl -sk --noproxy '*' --max-time 20 --connect-to "::$address:" -w '\n%{http_code}' "$@" "$url") ||
    status=$?
  case $status in
    0) echo "${out##*$'\n'} ${out%%$'\n'*}" ;;
    7) echo "connection refused" ;;
    28) echo "timeout" ;;
    52 | 56) echo "connection reset" ;;
    *) echo "curl ends with $status" ;;
  esac
}

# The rest is for this file only.

lab_add_namespace() {
  local name=$lab_name-$1
  ip netns add "$name" || lab_die "cannot make the network namespace $name"
  echo "$name" >>"$lab_dir/namespaces"
  # No duplicate address detection: link-local addresses would be unusable, and neighbours unanswered, for a second.
  lab_in "$1" sh -c 'ip link set lo up; sysctl -qw net.ipv4.ip_forward=1
if [ -e /proc/sys/net/ipv6/conf/all/forwarding ]; then
  sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
fi'
}

# Lines for `ip -batch` in a namespace, those of IPv6 only where the kernel has it.
lab_links() {
  local family=4
  if $lab_ipv6; then family=all; fi
  sed -E "$([[ $family == 4 ]] && echo '/fd00:/d'); s/^route (.*fd00:)/-6 route \1/" |
    while read -r line; do
      if [[ $line == -6* ]]; then echo "${line#-6 }" >&3; else echo "$line"; fi
    done 3>"$lab_dir/batch6" >"$lab_dir/batch"
  ip -n "$lab_name-$1" -batch "$lab_dir/batch" || lab_die "the network of $1 cannot be made"
  if [[ -s $lab_dir/batch6 ]]; then
    ip -6 -n "$lab_name-$1" -batch "$lab_dir/batch6" || lab_die "the network of $1 cannot be made"
  fi
}

# Only processes inside the lab's own namespace are ended.
lab_remove_namespace() {
  local pid
  for pid in $(ip netns pids "$1" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
  ip netns delete "$1" 2>/dev/null || true
}

lab_remove() {
  local name
  while read -r name; do lab_remove_namespace "$name"; done < <(cat "$1/namespaces" 2>/dev/null)
  rm -rf "$1"
}

# Labs whose shell is gone. Called under the lock of all labs.
lab_sweep() {
  local dir
  for dir in "$lab_root"/*/; do
    dir=${dir%/}
    if [[ ! -d $dir || -e $dir/keep ]]; then continue; fi
    if flock --nonblock "$dir/lock" true; then lab_remove "$dir"; fi
  done
}
