#!/usr/bin/env bash
# The story of a request, from localhost:8080 to a pod, in a lab of network namespaces: installs what it needs, builds,
# runs, asks, breaks, explains, cleans up. Run as root; nothing outside the lab's namespaces (demo-*) is changed.
#
#   scripts/demo.sh           everything
#   KUBENATD=PATH …           uses that binary instead of building one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
KUBENATD_LAB=demo
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
      "$lab_binary") word=kubenatd ;;
      "$lab_objects") word=DIR ;;
      "$lab_config") word=CONFIG ;;
      *[[:space:]]*) word="\"$word\"" ;;
    esac
    line+=" $word"
  done
  printf '\n[%s]$%s\n' "$name" "$line"
  lab_in "$name" "$@" 2>/dev/null
}
objects=(--manifests "$lab_objects" --config "$lab_config" --hostname-override node-1)
# That it finds a problem is no failure of the demo. The known connections, most of them over, would fill a screen.
explain() {
  printf '\n[node-1]$ kubenatd explain %s --manifests DIR --config CONFIG … | grep -v ^connection\n' "$*"
  local said status=0
  said=$(lab_in node-1 "$lab_binary" explain "$@" "${objects[@]}" 2>/dev/null) || status=$?
  ((status <= 1)) || fail "explain does not work"
  grep -v ^connection <<<"$said"
}
tally() { sort | uniq -c | sort -rn | sed -E 's/^ +([0-9]+) /  \1 × /'; }
# ask NS ADDRESS URL COUNT PATTERN WHAT: asks COUNT times; each different outcome with its number, most frequent first.
ask() {
  local number outcome=() seen
  for ((number = 0; number < $4; ++number)); do
    seen=$(lab_web "$1" "$2" "$3")
    outcome+=("$seen")
    # shellcheck disable=SC2053
    [[ $seen == $5 ]] || fail "$1 asked $3 at $2 and got: $seen"
  done
  printf '\n%s asks %s%s × %s: %s\n' "$1" "$3" "$([[ $3 == *"$2"* ]] || echo " at $2")" "$4" "$6"
  printf '%s\n' "${outcome[@]}" | tally
}
# All packets from one source port, as a client that keeps its socket sends them.
ask_udp() {
  printf '\n%s\n' "pages-1 asks 10.96.0.53:53 × 4: $1"
  lab_in pages-1 python3 scripts/lab/peer.py ask --source-port 40000 10.96.0.53 53 --count 4 | tally
}
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
# Waits until a command succeeds; the time it took is then in `waited`, in milliseconds.
await() {
  local begin
  begin=$(milliseconds)
  lab_eventually "$@" || fail "waited in vain for: $*"
  waited=$(($(milliseconds) - begin))
}
fail() {
  printf '\ndemo: %s\n' "$*" >&2
  if [[ -s $lab_dir/log/kubenatd-node-1 ]]; then
    echo "demo: the last lines of kubenatd's log:" >&2
    tail -n 20 "$lab_dir/log/kubenatd-node-1" >&2
  fi
  exit 1
}

if [[ -z ${KUBENATD:-} ]]; then
  title "Installing what is missing, building"
  scripts/install.sh lab
  cmake --preset release >/dev/null
  cmake --build --preset release --target kubenatd
fi

lab_require
trap lab_down EXIT
trap 'exit 130' INT TERM

title "A host with Docker's port mapping, two nodes of a kind cluster, pods, a client outside"
lab_up
lab_cluster
cat <<'END'
client ── host ──┬── node-1 ─┬─ ingress-1   nginx, hostPorts 80 and 443, configured from Ingress objects
  :8080 → node-1:80          ├─ shop-1
  :8443 → node-1:443         └─ pages-1
                 └── node-2 ─┬─ shop-2
                             └─ cart-1
END
echo
echo "[node-1]\$ kubenatd run --manifests DIR --config CONFIG --hostname-override node-1 &     (and so on node-2)"
grep -h -m1 ready "$lab_dir/log/kubenatd-node-1"
show node-1 iptables -t nat -L KUBE-SERVICES -n
echo "What node-1 knows, in a browser on this machine while this runs (scripts/lab.sh up keeps it): $(lab_page node-1)"

title "http://localhost:8080/cart: port mapping, hostPort, Ingress controller, Service, pod"
ask host 127.0.0.1 http://shop.local:8080/cart 5 "200 cart-1*" "Host and path lead to cart"
ask host 127.0.0.1 http://shop.local:8080/ 10 "200 shop-*" "the rest to shop"
ask host 127.0.0.1 https://shop.local:8443/ 1 "200 shop-*" "TLS"
ask host 127.0.0.1 http://nobody.local:8080/ 1 "404 *" "no such host"
show node-1 iptables -t nat -L CNI-HOSTPORT-DNAT -n
chain=$(lab_in node-1 iptables -w -t nat -S CNI-HOSTPORT-DNAT | grep -o 'CNI-DN-.*')
show node-1 iptables -t nat -L "$chain" -n
explain http://shop.local:8080/cart

title "Other ways in"
ask host 172.18.0.2 http://shop.local:31290/cart 1 "200 cart-1*" "the controller by NodePort: KUBE-NODEPORTS → KUBE-EXT → KUBE-SVC → KUBE-SEP"
ask pages-1 10.96.0.80 http://10.96.0.80/ 10 "200 shop-*" "a ClusterIP, from a pod"
if $lab_ipv6; then ask pages-1 "[fd00:10:96::80]" "http://[fd00:10:96::80]/" 4 "200 shop-*" "by IPv6"; fi
ask client 203.0.113.80 http://203.0.113.80/ 4 "200 shop-*" "a load balancer's address: the pods see a node"
ask client 172.18.0.2 http://172.18.0.2:30090/ 4 "200 shop-1*100" "externalTrafficPolicy Local: the node's own pod, which sees the client"
ask pages-1 10.96.0.99 http://10.96.0.99/ 1 "connection refused" "a Service without endpoints: refused at once"
ask_udp "UDP"

title "A pod is no longer ready"
gone=shop-2
if lab_in pages-1 python3 scripts/lab/peer.py ask 10.96.0.53 53 --source-port 40000 | grep -q ^shop-1; then
  # The pod that the UDP client is tied to is the one to lose.
  gone=shop-1
fi
lab_ready "$gone" False
await lab_nothing_leads_to "$(lab_address_of "$gone")"
echo "all rules to $gone were gone after about $waited ms (as iptables sees it)"
ask host 127.0.0.1 http://shop.local:8080/ 5 "200 shop-*" "the other one answers"
ask_udp "UDP, the same socket address: no stale entry"

title "Nor is the other one: where does the 502 come from?"
other=shop-$((3 - ${gone#shop-}))
lab_ready "$other" False
await lab_nothing_leads_to "$(lab_address_of "$other")"
ask host 127.0.0.1 http://shop.local:8080/ 1 "502 *" "the controller has nobody to ask"
explain http://shop.local:8080/
for pod in "$gone" "$other"; do
  lab_ready "$pod" True
  await lab_is_endpoint "$pod"
done
ask host 127.0.0.1 http://shop.local:8080/ 4 "200 shop-*" "both are ready again"

title "Someone deletes a rule by hand, then flushes a chain"
has_host_port() { lab_in node-1 iptables -w -t nat -S CNI-HOSTPORT-DNAT | grep -F "$chain"; }
show node-1 iptables -t nat -D CNI-HOSTPORT-DNAT 1
await has_host_port
echo "it was back after about $waited ms (as iptables sees it)"
show node-1 iptables -t nat -F KUBE-SERVICES
await lab_agent_works node-1
echo "the chain was whole again after about $waited ms (as iptables sees it)"
ask host 127.0.0.1 http://shop.local:8080/cart 2 "200 cart-1*" "as before"

title "The controller's pod goes, a new one comes"
lab_delete_pod ingress-1
ask host 127.0.0.1 http://shop.local:8080/ 1 "connection refused" "nobody has the hostPort"
lab_pod ingress-2 node-1 ingress
await lab_is_endpoint ingress-2
ask host 127.0.0.1 http://shop.local:8080/ 2 "200 shop-*" "the chains lead to $(lab_address_of ingress-2)"

title "kubenatd is killed: traffic goes on, the rules are what they should be"
lab_stop kubenatd-node-1 KILL
ask host 127.0.0.1 http://shop.local:8080/cart 2 "200 cart-1*" "nobody at home"
show node-1 "$lab_binary" diff "${objects[@]}" || fail "the rules are not what they should be"
echo "(no difference)"

title "Clean-up removes what kubenatd made"
show node-1 "$lab_binary" cleanup
show node-1 iptables-save -t nat
printf '\nThe namespaces go away now.\n'
