#!/usr/bin/env bash
# Moves a cluster's nodes from kube-proxy to kubenatd and back, one after the other, under traffic.
#
#   moving.sh KUBENATD BIN [FROM/TO...]      (default: iptables/iptables nftables/nftables iptables/nftables nftables/iptables)
#
# FROM is kube-proxy's mode, TO kubenatd's. FROM may be ipvs, where the kernel has it, with ipvsadm and ipset. BIN has kube-apiserver, kube-proxy and kubectl; etcd is in PATH. Three nodes with a
# pod each, a control plane and a client outside are network namespaces (moving-*) of this machine; nothing else is
# touched. Each pod keeps a connection to a ClusterIP and the client one to each node's NodePort, and both make new
# ones all the time. A kept connection must live from the first step of a way to the last. New ones must not fail either, but for the step
# in which kube-proxy itself removes what is there before it writes its own: those are counted.
# One that takes a second or more is slow: a packet of it was lost. KUBENATD_TEST_PATIENCE=N gives everything N times its time, for
# slow machines, where some are slow anyway.
set -euo pipefail
export LC_ALL=C

if (($# < 2)); then
  echo "usage: moving.sh KUBENATD BIN [FROM/TO...]" >&2
  exit 2
fi
kubenatd=$(realpath -- "$1") bin=$(realpath -- "$2")
shift 2
if (($# == 0)); then set -- iptables/iptables nftables/nftables iptables/nftables nftables/iptables; fi
for way in "$@"; do
  [[ $way =~ ^(iptables|nftables|ipvs)/(iptables|nftables)$ ]] || {
    echo "moving: no way $way" >&2
    exit 2
  }
done
for tool in "$bin/kube-apiserver" "$bin/kube-proxy" "$bin/kubectl" etcd openssl curl nft python3; do
  command -v "$tool" >/dev/null || {
    echo "SKIPPED: $tool is not there"
    exit 0
  }
done
if [[ " $*" == *" ipvs/"* ]]; then
  modprobe --all --quiet ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh || {
    echo "SKIPPED: the kernel has no ip_vs"
    exit 0
  }
  for tool in ipvsadm ipset; do
    command -v "$tool" >/dev/null || {
      echo "SKIPPED: $tool is not there"
      exit 0
    }
  done
fi
((EUID == 0)) || {
  echo "SKIPPED: no rights: network namespaces need root"
  exit 0
}

work=$(mktemp --directory)
patience=${KUBENATD_TEST_PATIENCE:-1}
nodes=(1 2 3)
children=()
clean_up() {
  local pid name
  for pid in "${children[@]}"; do kill -s KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for name in cp client "${nodes[@]/#/node-}" "${nodes[@]/#/pod-}"; do ip netns delete "moving-$name" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
fail() {
  echo "moving: FAILED: $*" >&2
  tail -n 5 "$work"/*.log >&2 || true
  exit 1
}
in_space() { ip netns exec "moving-$1" "${@:2}"; }
# start NAME SPACE COMMAND...: in the background; its process id goes to $work/NAME.pid.
start() {
  ip netns exec "moving-$2" "${@:3}" >>"$work/$1.log" 2>&1 </dev/null &
  echo $! >"$work/$1.pid"
  children+=($!)
}
stop() {
  local pid
  pid=$(cat "$work/$1.pid")
  kill "$pid"
  wait "$pid" 2>/dev/null || true
}
become() {
  local try
  for ((try = 0; try < 600 * patience; ++try)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  fail "it never came: $*"
}

# --- the machines: 172.31.0.0/24 between nodes, 10.245.N.2 the pod of node N
space() {
  ip netns add "moving-$1"
  in_space "$1" ip link set lo up
  in_space "$1" sysctl -qw net.ipv4.ip_forward=1
}
plug() { # plug SPACE ADDRESS
  ip link add eth0 netns "moving-$1" type veth peer name "to-$1" netns moving-cp
  in_space cp ip link set "to-$1" master br0 up
  in_space "$1" ip addr add "$2/24" dev eth0
  in_space "$1" ip link set eth0 up
}
space cp
in_space cp ip link add br0 type bridge
in_space cp ip addr add 172.31.0.1/24 dev br0
in_space cp ip link set br0 up
space client
plug client 172.31.0.100
for n in "${nodes[@]}"; do
  space "node-$n"
  space "pod-$n"
  plug "node-$n" "172.31.0.1$n"
  ip link add pod netns "moving-node-$n" type veth peer name eth0 netns "moving-pod-$n"
  in_space "node-$n" ip addr add "10.245.$n.1/24" dev pod
  in_space "node-$n" ip link set pod up
  in_space "pod-$n" ip addr add "10.245.$n.2/24" dev eth0
  in_space "pod-$n" ip link set eth0 up
  in_space "pod-$n" ip route add default via "10.245.$n.1"
  in_space "node-$n" ip route add default via 172.31.0.1
done
for n in "${nodes[@]}"; do
  for other in "${nodes[@]}"; do
    if ((n != other)); then in_space "node-$n" ip route add "10.245.$other.0/24" via "172.31.0.1$other"; fi
  done
done

# --- the control plane
cd "$work"
openssl genrsa -out sa.key 2048 2>/dev/null
echo 'moving,admin,admin,system:masters' >tokens.csv
start etcd cp etcd --data-dir etcd --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
start apiserver cp "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range=10.96.0.0/16 \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=sa.key \
  --service-account-signing-key-file=sa.key --token-auth-file=tokens.csv --authorization-mode=RBAC --cert-dir=certs \
  --advertise-address=172.31.0.1 --disable-admission-plugins=ServiceAccount
cat >kubeconfig <<END
{apiVersion: v1, kind: Config, current-context: c,
 clusters: [{name: c, cluster: {server: "https://172.31.0.1:6443", insecure-skip-tls-verify: true}}],
 users: [{name: u, user: {token: moving}}], contexts: [{name: c, context: {cluster: c, user: u}}]}
END
kubectl() { in_space cp "$bin/kubectl" --kubeconfig kubeconfig "$@"; }
become kubectl get --raw /readyz
become kubectl get namespace default
for n in "${nodes[@]}"; do
  kubectl apply -f - <<END
{apiVersion: v1, kind: Node, metadata: {name: node-$n}, spec: {podCIDR: 10.245.$n.0/24, podCIDRs: [10.245.$n.0/24]}}
END
  kubectl patch node "node-$n" --subresource status --patch \
    "{\"status\": {\"addresses\": [{\"type\": \"InternalIP\", \"address\": \"172.31.0.1$n\"}]}}"
done >kubectl.log
slices() { # slices NODE...: the endpoints are the pods there
  local n endpoints=''
  for n in "$@"; do endpoints+="{addresses: [10.245.$n.2], nodeName: node-$n, conditions: {ready: true}},"; done
  kubectl apply -f - >>kubectl.log <<END
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web, labels: {kubernetes.io/service-name: web}},
 addressType: IPv4, ports: [{name: http, port: 8080, protocol: TCP}], endpoints: [$endpoints]}
END
}
kubectl apply -f - >>kubectl.log <<END
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.80, type: NodePort,
 ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080, protocol: TCP}]}}
END
slices "${nodes[@]}"

# --- the proxies
start_kube_proxy() { # NODE MODE
  start "proxy-$1" "node-$1" "$bin/kube-proxy" --kubeconfig=kubeconfig --hostname-override="node-$1" --proxy-mode="$2" \
    --cluster-cidr=10.245.0.0/16 --conntrack-max-per-core=0 --conntrack-min=0
  become in_space "node-$1" curl --silent --fail http://127.0.0.1:10256/healthz
  become has_rules "$1" "$2" kube-proxy
}
settings=(--kubeconfig kubeconfig --cluster-cidr 10.245.0.0/16 --conntrack-max-per-core 0)
start_kubenatd() { # NODE MODE
  start "proxy-$1" "node-$1" "$kubenatd" run "${settings[@]}" --hostname-override "node-$1" --proxy-mode "$2"
  become in_space "node-$1" "$kubenatd" status "${settings[@]}"
  become has_rules "$1" "$2" kubenatd
}
has_rules() { # NODE MODE TABLE
  local all
  if [[ $2 == ipvs ]]; then
    [[ $(in_space "node-$1" ipvsadm --list --numeric) == *"10.96.0.80:80"*"-> 10.245.$1.2:8080"* ]] &&
      [[ $(in_space "node-$1" ip address show dev kube-ipvs0) == *"10.96.0.80/"* ]]
    return
  fi
  all=$(in_space "node-$1" nft list ruleset)
  if [[ $2 == iptables ]]; then
    [[ $all == *"chain KUBE-SERVICES"* && $all == *"10.96.0.80"* ]]
  else
    all=$(in_space "node-$1" nft list table ip "$3")
    [[ $all == *"10.96.0.80"* ]]
  fi
}
only_rules_of() { # NODE MODE TABLE: nothing of the other mode
  local all
  all=$(in_space "node-$1" nft list ruleset)
  case $2 in
    ipvs) [[ $all != *"table ip kubenatd "* ]] ;; # chains that nobody jumps to stay
    iptables) [[ $all != *"table ip kubenatd "* && $all != *"table ip kube-proxy "* ]] ;;
    nftables) [[ $all != *"10.96.0.80"*"chain KUBE-SVC"* && $all == *"table ip $3 "* ]] &&
      [[ $all != *"table ip $([[ $3 == kubenatd ]] && echo kube-proxy || echo kubenatd) "* ]] ;;
  esac
}

# --- traffic
cat >traffic.py <<'END'
"""serve NAME | keep ADDRESS PORT LOG SECONDS | connect ADDRESS PORT LOG SECONDS: LOG gets a line for each question."""
import datetime, os, socket, socketserver, sys, time

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(sys.argv[2].encode() + b" " + line)

def ask(connection, number):
    connection.sendall(b"%d\n" % number)
    answer = b""
    while not answer.endswith(b"\n"):
        part = connection.recv(100)
        if not part:
            raise OSError("closed")
        answer += part
    if answer.split()[1] != b"%d" % number:
        raise OSError("answer to another question: %r" % answer)
    return answer.split()[0].decode()

def main():
    if sys.argv[1] == "serve":
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        socketserver.ThreadingTCPServer.daemon_threads = True
        socketserver.ThreadingTCPServer(("0.0.0.0", 8080), Echo).serve_forever()
    place, log, patience = (sys.argv[2], int(sys.argv[3])), open(sys.argv[4], "a", buffering=1), float(sys.argv[5])
    # Below the ports that are chosen for new ones: an entry of IPVS that ends takes the conntrack entry of its ports along (6.1,
    # ip_vs_conn_drop_conntrack), also where another connection has them by then.
    own = ("", 10000 + os.getpid() % 20000)
    kept = socket.create_connection(place, patience + 2, own) if sys.argv[1] == "keep" else None
    pod, number = None, 0
    while True:
        number += 1
        begin = time.monotonic()
        try:
            if kept:
                now = ask(kept, number)
                if pod not in (None, now):
                    raise OSError("another pod answers")
                pod = now
            else:
                with socket.create_connection(place, timeout=patience) as connection:
                    ask(connection, number)
            took = time.monotonic() - begin
            log.write("ok\n" if took < 1 else "ok, slow: %.1f s\n" % took)
        except OSError as error:
            log.write("failed %s %s\n" % (datetime.datetime.now().isoformat(), error))
            if kept:
                return
        time.sleep(0.1 if kept else 0.05)

main()
END
for n in "${nodes[@]}"; do start "server-$n" "pod-$n" python3 traffic.py serve "pod-$n"; done
first_mode=${1%/*}
for n in "${nodes[@]}"; do start_kube_proxy "$n" "$first_mode"; done
sleep 1
kept=() made=()
for n in "${nodes[@]}"; do
  start "new-pod-$n" "pod-$n" python3 traffic.py connect 10.96.0.80 80 "$work/new-pod-$n.answers" $((3 * patience))
  start "new-node-$n" client python3 traffic.py connect "172.31.0.1$n" 30080 "$work/new-node-$n.answers" $((3 * patience))
  kept+=("keep-pod-$n.answers" "keep-node-$n.answers")
  made+=("new-pod-$n.answers" "new-node-$n.answers")
done
# New ones for each way: where kube-proxy itself leaves nftables mode, the last NAT of the node goes for a moment, and with it what
# is under way.
answers=0
begin_kept() {
  local n
  for n in "${nodes[@]}"; do
    if [[ -e keep-pod-$n.pid ]]; then
      stop "keep-pod-$n"
      stop "keep-node-$n"
      answers=$((answers + $(count ok "keep-pod-$n.answers" "keep-node-$n.answers")))
      rm "keep-pod-$n.answers" "keep-node-$n.answers"
    fi
    start "keep-pod-$n" "pod-$n" python3 traffic.py keep 10.96.0.80 80 "$work/keep-pod-$n.answers" $((3 * patience))
    start "keep-node-$n" client python3 traffic.py keep "172.31.0.1$n" 30080 "$work/keep-node-$n.answers" $((3 * patience))
    become test -s "keep-pod-$n.answers"
    become test -s "keep-node-$n.answers"
  done
}

count() { { grep --no-filename --count "^$1" "${@:2}" || true; } | awk '{ sum += $1 } END { print sum + 0 }'; }
# step TEXT none|some|own: what failed since the step before; new connections may not, may, or this is kube-proxy's own matter.
before=0 total=0
step() {
  local now
  # A connection that is not answered fails after a while: it is counted where it began.
  if [[ $2 != none ]]; then sleep $((4 * patience)); else sleep $((2 * patience)); fi
  if [[ $2 != own && $(count failed "${kept[@]}") != 0 ]]; then
    grep ^failed "${kept[@]}" >&2
    fail "$1: a kept connection broke"
  fi
  now=$(count failed "${made[@]}")
  if [[ $2 == own ]]; then
    echo "kube-proxy alone: $1: $((now - before)) new connections failed"
  else
    echo "ok: $1: kept connections live, $((now - before)) new ones failed"
  fi
  if [[ $2 == none ]] && ((now != before)); then
    grep ^failed "${made[@]}" | tail -n 20 >&2
    fail "$1: new connections failed"
  fi
  total=$((total + now - before)) before=$now
}

for way in "$@"; do
  from=${way%/*} to=${way#*/}
  for n in "${nodes[@]}"; do
    if [[ $from != "$first_mode" ]]; then
      stop "proxy-$n"
      start_kube_proxy "$n" "$from"
      step "node-$n: kube-proxy changes its mode to $from" own
    fi
  done
  first_mode=$from
  begin_kept
  step "all nodes in $from mode" own
  for n in "${nodes[@]}"; do
    stop "proxy-$n"
    start_kubenatd "$n" "$to"
    become only_rules_of "$n" "$to" kubenatd
    step "node-$n: kube-proxy in $from mode to kubenatd in $to mode" none
  done
  # It is followed: a pod that leaves gets no new connection, and keeps its old ones.
  slices 1 2
  sleep 1
  slices "${nodes[@]}"
  step "endpoints change" none
  if [[ $from == ipvs ]]; then
    # What IPVS forwards ends with its virtual servers: what has begun since then goes on without them.
    begin_kept
    for n in "${nodes[@]}"; do
      in_space "node-$n" ipvsadm --clear
      in_space "node-$n" ip link delete kube-ipvs0
    done
    step "IPVS is cleared" none
  fi
  for n in "${nodes[@]}"; do
    stop "proxy-$n"
    may=none
    if [[ $to == nftables && $from != nftables ]]; then
      # kube-proxy in these modes takes over chains, and knows nothing of the table.
      in_space "node-$n" "$kubenatd" run --once "${settings[@]}" --hostname-override "node-$n" --proxy-mode iptables >>"proxy-$n.log" 2>&1
    elif [[ $to == iptables && $from == nftables ]]; then
      may=some # it removes the chains before it makes its table
    fi
    start_kube_proxy "$n" "$from"
    if [[ $to == nftables && $from == nftables ]]; then
      for family in ip ip6; do in_space "node-$n" nft delete table "$family" kubenatd 2>/dev/null || true; done
    fi
    become only_rules_of "$n" "$from" kube-proxy
    step "node-$n: kubenatd in $to mode back to kube-proxy in $from mode" $may
  done
done
sleep 3
step "afterwards" none
echo "moving: $((answers + $(count ok "${kept[@]}"))) answers on kept connections, $(count ok "${made[@]}") new connections, $total failed, $(count 'ok, slow' "${made[@]}") slow"
