#!/usr/bin/env bash
# kubenatd in the pods of a real cluster, asked by the plugin of kubectl, with real traffic.
#
#   pods.sh [--mode iptables|nftables] [--image NAME:TAG] [--web IMAGE] [--api HOST:PORT] [--keep]
#
#   --image   kubenatd's (default: that of manifests/base); it has to be on the nodes, as the one of --web has to be
#   --web     one with agnhost, curl and sh, as upstream's end-to-end tests have it
#   --api     where the nodes reach the API server (default: as the kubeconfig has it)
#   --keep    leave everything in place at the end
#
# KUBECONFIG names the cluster, kubectl is in PATH, and nothing else serves Services on the nodes. It makes
# kube-system/kubenatd from manifests/base and the namespace kubenatd-pods. Prints a line for each thing that holds; the
# status is 1 when one does not.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2

usage() {
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
  exit "$1"
}
mode=iptables image= web=registry.k8s.io/e2e-test-images/agnhost:2.63.0 api= keep=false
while (($# > 0)); do
  case $1 in
    --keep) keep=true ;;
    --mode | --image | --web | --api)
      (($# > 1)) || usage 2 >&2
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
  esac
  shift
done
[[ $mode == iptables || $mode == nftables ]] || usage 2 >&2
for tool in kubectl python3; do
  command -v "$tool" >/dev/null || {
    echo "SKIPPED: no $tool in PATH"
    exit 0
  }
done
api=${api:-$(kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}' | sed 's|^[a-z]*://||')}
[[ $api == *:* ]] || api+=:443

readonly space=kubenatd-pods
work=$(mktemp --directory)
clean_up() {
  if ! $keep; then
    kubectl delete namespace "$space" --wait=false >/dev/null 2>&1
    kubectl delete --kustomize "$work/overlay" --wait=false >/dev/null 2>&1
  fi
  rm -rf "$work"
}
trap clean_up EXIT
failed=0
holds() { echo "ok: $*"; }
broken() {
  echo "FAILED: $*" >&2
  failed=1
}
give_up() {
  broken "$@"
  kubectl --namespace kube-system get pods --output wide >&2
  kubectl --namespace kube-system logs daemonset/kubenatd --tail 20 >&2
  exit 1
}
# plugin CODE ARGUMENT...: runs the plugin; its answer is in $said. It has to end with that code.
said=
plugin() {
  local wanted=$1 code=0
  shift
  said=$(scripts/kubectl-kubenatd "$@" 2>"$work/errors") || code=$?
  if ((code == wanted)); then return; fi
  broken "kubectl kubenatd $*: exit code $code, not $wanted"
  printf '%s\n' "$said" | tail -n 40 >&2
  tail -n 5 "$work/errors" >&2
}
# tells WHAT TEXT...: the plugin's answer has each of these.
tells() {
  local what=$1 text
  shift
  for text; do
    if [[ $said != *"$text"* ]]; then
      broken "$what: there is no \"$text\" in the answer"
      printf '%s\n' "$said" | tail -n 40 >&2
      return
    fi
  done
  holds "$what"
}

# --- kubenatd as the manifests have it, told where the API server is
mkdir "$work/overlay"
base=$(realpath --relative-to "$work/overlay" manifests/base)
cidrs=$(kubectl get nodes --output 'jsonpath={range .items[*]}{.spec.podCIDR}{"\n"}{end}' |
  python3 -c '
import ipaddress, sys
nets = [ipaddress.ip_network(line.strip()) for line in sys.stdin if line.strip()]
while len(nets) > 1: nets = list(ipaddress.collapse_addresses(net.supernet() for net in nets))
print(nets[0] if nets else "")')
cat >"$work/overlay/kustomization.yaml" <<YAML
resources: [$base]
patches:
  - patch: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: kubenatd, namespace: kube-system}
      data:
        apiServerHost: "${api%:*}"
        apiServerPort: "${api##*:}"
        config.conf: |
          apiVersion: kubeproxy.config.k8s.io/v1alpha1
          kind: KubeProxyConfiguration
          mode: $mode
          clusterCIDR: "$cidrs"
YAML
if [[ -n $image ]]; then
  printf 'images:\n  - {name: localhost/kubenatd, newName: "%s", newTag: "%s"}\n' "${image%:*}" "${image##*:}" \
    >>"$work/overlay/kustomization.yaml"
fi
kubectl apply --kustomize "$work/overlay" >"$work/applied" 2>&1 || give_up "the manifests: $(cat "$work/applied")"
kubectl --namespace kube-system rollout status daemonset/kubenatd --timeout 120s >/dev/null ||
  give_up "kubenatd's pods do not become ready"
nodes=$(kubectl get nodes --output name | wc -l)
# A kubelet may give its pod the configuration of an earlier run first, and the present one a minute later.
for _ in $(seq 90); do
  [[ $(scripts/kubectl-kubenatd status 2>/dev/null | grep -cw "$mode") != "$nodes" ]] || break
  sleep 1
done
holds "kubenatd is ready in a pod of each of the $nodes nodes, in $mode mode"

kubectl create namespace "$space" >/dev/null 2>&1
kubectl apply --filename - >/dev/null <<YAML || give_up "the pods that are asked could not be made"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: $space}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: web, image: "$web", args: [netexec, --http-port=8080], ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: $space}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: $space}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: "$web", args: [pause]}]
YAML
kubectl --namespace "$space" rollout status deployment/web --timeout 120s >/dev/null || give_up "the pods do not become ready"
kubectl --namespace "$space" wait --for=condition=Ready --timeout 60s pod/client >/dev/null || give_up "the client is not ready"
of_web() { kubectl --namespace "$space" get service web --output "jsonpath=$1"; }
address=$(of_web '{.spec.clusterIP}')
node_port=$(of_web '{.spec.ports[0].nodePort}')
node=$(kubectl get nodes --output 'jsonpath={.items[0].metadata.name}')
node_address=$(kubectl get nodes --output 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
node_address=${node_address%% *}
on_node=$(kubectl --namespace "$space" get pod client --output 'jsonpath={.spec.nodeName}')
client=$(kubectl --namespace "$space" get pod client --output 'jsonpath={.status.podIP}')
mapfile -t pods < <(kubectl --namespace "$space" get pods --selector app=web \
  --output 'jsonpath={range .items[*]}{.status.podIP}{"\n"}{end}')
from_client() { kubectl --namespace "$space" exec client -- sh -c "$1"; }
# ask URL COUNT: how many of so many new connections were answered.
ask() { from_client "n=0; for i in \$(seq $2); do curl -gsm 2 $1/hostname >/dev/null && n=\$((n + 1)); done; echo \$n"; }

for url in "http://$address" "http://$node_address:$node_port"; do
  answered=$(ask "$url" 20)
  if [[ $answered == 20 ]]; then holds "20 of 20 connections to $url"; else broken "$url: $answered of 20 connections"; fi
done

# --- the plugin
plugin 0 status
tells "status has a line for each node" $(kubectl get nodes --output 'jsonpath={.items[*].metadata.name}')
plugin 0 status --output json
documents=$(python3 -c 'import json, sys; print(sum(1 for line in sys.stdin if json.loads(line)))' <<<"$said")
if [[ $documents == "$nodes" ]]; then holds "status -o json is a document a node"; else broken "status -o json: $documents documents"; fi
plugin 0 services "$space/web"
tells "services NAME tells the address and each endpoint" "$address" "${pods[@]}"
plugin 0 explain "$address:80"
tells "explain follows a cluster IP to each pod" "${pods[@]}"
plugin 0 explain "$node_address:$node_port"
tells "explain follows a NodePort to each pod" "${pods[@]}"
plugin 0 diff
tells "diff finds no difference on $node" "$node: no difference"
plugin 3 diff --node "no-such-node"

(for _ in $(seq 20); do from_client "curl -gsm 2 http://$address/hostname" >/dev/null 2>&1; sleep 0.3; done) &
asking=$!
plugin 0 trace "$address:80" --node "$on_node" --packets 1 --for 20s
kill "$asking" 2>/dev/null
wait "$asking" 2>/dev/null
tells "trace shows a real packet from the client's pod" "$client"

# --- nothing fails while the agents are replaced
from_client "for i in \$(seq 600); do curl -gsm 2 http://$address/hostname >/dev/null && echo yes || echo no; sleep 0.05; done" \
  >"$work/answers" 2>/dev/null &
asking=$!
kubectl --namespace kube-system rollout restart daemonset/kubenatd >/dev/null
kubectl --namespace kube-system rollout status daemonset/kubenatd --timeout 180s >/dev/null || broken "the update does not come to its end"
wait "$asking"
yes=$(grep -c yes "$work/answers") no=$(grep -c no "$work/answers")
if ((no == 0 && yes > 0)); then
  holds "$yes new connections while every agent was replaced, none failed"
else
  broken "while every agent was replaced $yes connections were answered and $no failed"
fi

kubectl --namespace "$space" scale deployment/web --replicas 0 >/dev/null
for _ in $(seq 100); do
  [[ -n $(kubectl --namespace "$space" get pods --selector app=web --output name) ]] || break
  sleep 0.3
done
sleep 1
plugin 1 explain "$address:80"
tells "explain says that nobody is there" "rejected" "connection refused"
exit "$failed"
