#!/usr/bin/env bash
# Shows kubenatd at work in a lab of network namespaces: installs what it needs, builds, runs, asks, breaks, cleans up.
# Run as root; nothing outside the lab's namespaces (knd-*) is changed.
#
#   scripts/demo.sh           everything
#   KUBENATD=PATH …           uses that binary instead of building one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lab.bash
source scripts/lab.bash

((EUID == 0)) || lab_die "the demo installs packages and makes network namespaces: run it as root"

title() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
[[ -t 1 ]] || title() { printf '\n== %s\n' "$*"; }
# Shows a command as a person would type it on that machine, then runs it there.
show() {
  local name=$1
  shift
  local word line=
  for word in "$@"; do
    case $word in
      "$binary") word=kubenatd ;;
      "$folder") word=DIR ;;
      *[[:space:]]*) word="\"$word\"" ;;
    esac
    line+=" $word"
  done
  printf '\n[%s]$%s\n' "$name" "$line"
  lab_in "$name" "$@"
}
# Asks COUNT times and prints each different answer with its number, most frequent first.
tally() { sort | uniq -c | sort -rn | sed -E 's/^ +([0-9]+) /  \1 × /'; }
ask() {
  local name=$1 address=$2 port=$3 what=$4 count=$5 answers status=0
  shift 5
  if [[ $address == *:* ]]; then printf '\n%s asks [%s]:%s' "$name" "$address" "$port"; else
    printf '\n%s asks %s:%s' "$name" "$address" "$port"
  fi
  printf ' × %s: %s\n' "$count" "$what"
  answers=$(lab_in "$name" python3 scripts/lab/peer.py "$@" "$address" "$port" --count "$count") || status=1
  tally <<<"$answers"
  if ((status != expect_refusal)); then fail "that is not how it should be"; fi
}
expect_refusal=0
ask_http() { ask "$1" "$2" "$3" "$4" "${5:-20}" get; }
ask_refused() { expect_refusal=1 ask "$1" "$2" "$3" "$4" 1 get; }
# All packets from one source port, as a client that keeps its socket sends them.
ask_udp() { ask "$1" "$2" "$3" "$4" "$5" ask --source-port 40000; }
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
# Waits until a command on the node succeeds; the time it took is then in `waited`, in milliseconds.
until_node() {
  local begin tries=0
  begin=$(milliseconds)
  until lab_in node "$@" >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || fail "kubenatd ended by itself"
    if ((++tries > 1000)); then fail "waited in vain for: $*"; fi
    sleep 0.01
  done
  waited=$(($(milliseconds) - begin))
}
pod_address() { echo "10.244.1.1${1#web-}"; }
fail() {
  printf '\ndemo: %s\n' "$*" >&2
  if [[ -s $log ]]; then
    echo "demo: the last lines of kubenatd's log:" >&2
    tail -n 20 "$log" >&2
  fi
  exit 1
}

log=/dev/null
binary=${KUBENATD:-}
if [[ -z $binary ]]; then
  title "Installing what is missing, building"
  scripts/install.sh build
  cmake --preset release >/dev/null
  cmake --build --preset release --target kubenatd
  binary=build/kubenatd
fi

lab_require
folder=$(mktemp -d)
trap 'lab_down; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cp manifests/demo/*.yaml "$folder"

title "A node, two pods, a client outside"
lab_up
for number in 11 12; do
  pod=web-${number#1}
  lab_pod "$pod" "$number"
  lab_serve "$pod" --http 8080 --http 9090 --udp 5353
done
cat <<'END'
client 192.168.77.100 ─── 192.168.77.2 node-1 ─┬─ 10.244.1.11 pod web-1
                                               └─ 10.244.1.12 pod web-2
END

title "kubenatd follows a copy of manifests/demo"
log=$lab_logs/kubenatd
echo "[node]\$ kubenatd run --manifests DIR --config manifests/demo-config.yaml --hostname-override node-1 &"
lab_start node "$log" "$binary" run --manifests "$folder" --config manifests/demo-config.yaml --hostname-override node-1
daemon=$lab_pid
until_node iptables -w -t nat -C KUBE-SERVICES -m comment --comment \
  "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL \
  -j KUBE-NODEPORTS
cat "$log"
show node iptables -t nat -L KUBE-SERVICES -n

title "Requests: which pod answers, and whom it saw"
ask_http web-1 10.96.0.80 80 "ClusterIP, from a pod: both answer; a pod that reaches itself sees the node"
ask_http node 10.96.0.80 80 "ClusterIP, from the node"
if $lab_ipv6; then ask_http web-1 fd00:10:96::80 80 "the same Service's IPv6 ClusterIP"; fi
ask_http client 192.168.77.2 30080 "NodePort, from outside: pods see the node"
ask_http client 203.0.113.80 80 "LoadBalancer IP, from outside"
ask_http client 192.168.77.2 30090 "NodePort with externalTrafficPolicy Local: the pod sees the client"
ask_refused web-1 10.96.0.99 80 "a Service without endpoints: refused at once"
ask_udp client 10.96.0.53 53 "UDP" 4

title "An endpoint is taken away, traffic goes on"
gone=web-2
if lab_in client python3 scripts/lab/peer.py ask 10.96.0.53 53 --source-port 40000 | grep -q ^web-1; then
  # The pod that the UDP client is tied to is the one to lose.
  gone=web-1
fi
echo "\$ sed -i 's/Ready, status: \"True\"/Ready, status: \"False\"/' DIR/pod-$gone.yaml"
sed -i 's/Ready, status: "True"/Ready, status: "False"/' "$folder/pod-$gone.yaml"
begin=$(milliseconds)
tries=0
while lab_in node iptables -w -t nat -S | grep -q "demo/web:http.*$(pod_address "$gone")"; do
  if ((++tries > 500)); then fail "the rules for $gone stay"; fi
  sleep 0.01
done
echo "its rules were gone after about $(($(milliseconds) - begin)) ms (as iptables sees it)"
ask_http web-1 10.96.0.80 80 "ClusterIP"
ask_http client 192.168.77.2 30080 "NodePort"
ask_udp client 10.96.0.53 53 "UDP, the same socket address: no stale entry" 4

title "Someone deletes a rule by hand"
rule=(KUBE-SERVICES -d 10.96.0.80/32 -p tcp -m comment --comment "demo/web:http cluster IP" -m tcp --dport 80
  -j "$(lab_in node iptables -w -t nat -S KUBE-SERVICES |
    sed -n 's/^-A .*-d 10\.96\.0\.80\/32 .* -j \(KUBE-[A-Z0-9-]*\)$/\1/p')")
show node iptables -t nat -D "${rule[@]}"
until_node iptables -w -t nat -C "${rule[@]}"
echo "it was back after about $waited ms (as iptables sees it)"
show node iptables -t nat -F KUBE-SERVICES
until_node iptables -w -t nat -C "${rule[@]}"
echo "the chain was whole again after about $waited ms"
ask_http web-1 10.96.0.80 80 "ClusterIP"

title "kubenatd is killed: traffic goes on, the rules are what they should be"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
ask_http web-1 10.96.0.80 80 "ClusterIP, nobody at home"
show node "$binary" diff --manifests "$folder" --config manifests/demo-config.yaml --hostname-override node-1 ||
  fail "the rules are not what they should be"
echo "(no difference)"

title "Clean-up removes what kubenatd made"
show node "$binary" cleanup
show node iptables-save -t nat
printf '\nThe namespaces go away now.\n'
