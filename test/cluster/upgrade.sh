#!/usr/bin/env bash
# Replaces a node's kubenatd by another version and back, again and again, under traffic.
#
#   upgrade.sh OLD NEW [MODE...]      (default: iptables nftables)
#
# OLD and NEW are programs; the one of a release is built from its tag. A node, a pod and a client are network namespaces
# (upgrade-*) of this machine; nothing else is touched. The client keeps a connection to a ClusterIP and one to a NodePort
# and makes new ones without pause. None may break or fail, and NEW must find nothing to write where it comes back to
# what it left itself.
set -euo pipefail
export LC_ALL=C

if (($# < 2)); then
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
old=$(realpath -- "$1") new=$(realpath -- "$2")
shift 2
if (($# == 0)); then set -- iptables nftables; fi
for mode in "$@"; do
  [[ $mode =~ ^(iptables|nftables)$ ]] || {
    echo "upgrade: no mode $mode" >&2
    exit 2
  }
done
((EUID == 0)) || {
  echo "SKIPPED: no rights: network namespaces need root"
  exit 0
}

readonly rounds=7
work=$(mktemp --directory)
children=()
clean_up() {
  local pid name
  for pid in "${children[@]}"; do kill -s KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for name in node pod client; do ip netns delete "upgrade-$name" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
fail() {
  echo "upgrade: FAILED: $*" >&2
  tail -n 5 "$work"/*.log >&2 || true
  exit 1
}
in_space() { ip netns exec "upgrade-$1" "${@:2}"; }
start() { # SPACE NAME COMMAND...: in the background; its process id is $last
  ip netns exec "upgrade-$1" "${@:3}" >"$work/$2.log" 2>&1 </dev/null &
  last=$!
  children+=("$last")
}

# --- 10.244.1.2 to 10.244.1.7 in the pod; the client outside at 172.31.0.2
for name in node pod client; do
  ip netns add "upgrade-$name"
  in_space "$name" ip link set lo up
done
plug() { # SPACE ADDRESS-OF-NODE ADDRESS...
  ip link add "to-$1" netns upgrade-node type veth peer name eth0 netns "upgrade-$1"
  in_space node ip addr add "$2/24" dev "to-$1"
  in_space node ip link set "to-$1" up
  in_space "$1" ip link set eth0 up
  local address
  for address in "${@:3}"; do in_space "$1" ip addr add "$address/24" dev eth0; done
  in_space "$1" ip route add default via "$2"
}
plug pod 10.244.1.1 10.244.1.{2..7}
plug client 172.31.0.1 172.31.0.2
in_space node sysctl -qw net.ipv4.ip_forward=1
mkdir "$work/objects"
cat >"$work/objects/web.yaml" <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  ports: [{port: 80, targetPort: 8080, nodePort: 30080, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-a, namespace: demo, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: "", port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.244.1.2], conditions: {ready: true}}
- {addresses: [10.244.1.3], conditions: {ready: true}}
- {addresses: [10.244.1.4], conditions: {ready: true}}
- {addresses: [10.244.1.5], conditions: {ready: true}}
- {addresses: [10.244.1.6], conditions: {ready: true}}
- {addresses: [10.244.1.7], conditions: {ready: true}}
YAML
cat >"$work/traffic.py" <<'PYTHON'
"""serve | ask FILE: FILE gets a line for each answer or failure; a kept connection that breaks is a failure."""
import socket, socketserver, sys

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)

def ask(connection):
    connection.sendall(b"?\n")
    if connection.recv(10) != b"?\n":
        raise OSError("closed")

if sys.argv[1] == "serve":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer.request_queue_size = 100
    socketserver.ThreadingTCPServer(("0.0.0.0", 8080), Echo).serve_forever()
places = (("10.96.0.10", 80), ("172.31.0.1", 30080))
kept = [socket.create_connection(place, timeout=3) for place in places]
log = open(sys.argv[2], "w", buffering=1)
while True:
    for place, old in zip(places, kept):
        try:
            with socket.create_connection(place, timeout=3) as connection:
                ask(connection)
            log.write("ok\n")
        except OSError as error:
            log.write("failed: new connection to %s: %s\n" % (place, error))
        try:
            ask(old)
        except OSError as error:
            sys.exit(log.write("failed: kept connection to %s: %s\n" % (place, error)))
PYTHON
start pod server python3 "$work/traffic.py" serve
sleep 0.5

run() { # PROGRAM MODE LOG: until it is ready
  local try
  start node "$3" "$1" run --manifests "$work/objects" --hostname-override node --proxy-mode "$2"
  for ((try = 0; try < 200; ++try)); do
    if grep --quiet 'msg="\?ready' "$work/$3.log"; then return 0; fi
    sleep 0.05
  done
  fail "$1 in $2 mode is not ready"
}
stop() {
  kill "$last"
  wait "$last" 2>/dev/null || true
}

echo "upgrade: $("$old" --version | head -n 1) and $("$new" --version | head -n 1)"
for mode in "$@"; do
  run "$old" "$mode" first
  agent=$last
  start client traffic python3 "$work/traffic.py" ask "$work/answers"
  asking=$last last=$agent
  sleep 1
  for ((round = 0; round < rounds; ++round)); do
    stop
    run "$new" "$mode" new
    sleep 0.5
    stop
    run "$new" "$mode" again
    if grep 'msg="\?synced' "$work/again.log"; then fail "the new program writes what it has written itself"; fi
    stop
    run "$old" "$mode" old
    sleep 0.5
  done
  kill "$asking"
  stop
  if grep '^failed' "$work/answers"; then fail "in $mode mode connections failed"; fi
  echo "ok: $mode mode: $((2 * rounds)) changes, $(grep --count '^ok' "$work/answers") new connections and the kept ones, none failed"
  in_space node "$new" cleanup >"$work/cleanup.log" 2>&1
done
