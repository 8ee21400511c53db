# shellcheck shell=bash
# What runs in the lab: kubenatd on the nodes, pods with their programs, the folder of objects that both they and the
# Ingress controller follow. Part of scripts/lab.bash.
#
#   lab_cluster                everything that the story needs
#   lab_agent NODE             kubenatd on a node, following $lab_objects; lab_kubenatd NODE COMMAND... another command
#   lab_page NODE              the address of the page that it serves, for a browser on this machine
#   lab_pod NAME NODE APP      one more pod, ready; lab_ready NAME True|False
#   lab_delete_pod NAME        it goes gracefully; lab_destroy_pod NAME: at once, its object stays
#   lab_is_endpoint NAME       whether rules on both nodes lead there; lab_nothing_leads_to ADDRESS
#   lab_put NAME               an object file, from standard input

# kubenatd's command line on a node: lab_kubenatd NODE COMMAND [ARGUMENT]..., to be run there.
lab_kubenatd() {
  local node=$1 command=$2
  shift 2
  lab_in "$node" "$lab_binary" "$command" "$@" --manifests "$lab_objects" --config "$lab_config" \
    --hostname-override "$node"
}

lab_agent() {
  lab_start "kubenatd-$1" "$1" "$lab_binary" run --manifests "$lab_objects" --config "$lab_config" \
    --hostname-override "$1" --page on --page-trace on
}

# The relay listens on this machine's localhost and connects in the node's namespace.
lab_page() {
  local file=$lab_dir/page-$1
  if ! lab_runs "page-$1"; then
    rm -f "$file"
    python3 "$lab_here/lab/relay.py" "$lab_name-$1" 10249 "$file" </dev/null >"$lab_dir/log/page-$1" 2>&1 &
    echo $! >"$lab_dir/pid/page-$1"
    disown
    lab_eventually test -s "$file" || lab_die "no way to the page of $1: $(tail -n 1 "$lab_dir/log/page-$1")"
  fi
  echo "http://127.0.0.1:$(cat "$file")/ui/"
}

# The rule that a node's chains end with stands there.
lab_agent_works() {
  lab_in "$1" iptables -w -t nat -C KUBE-SERVICES -m comment --comment \
    "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL \
    -j KUBE-NODEPORTS
}

# The demo's objects, but no pods yet; a certificate for *.local of its own, as a Secret.
lab_write_objects() {
  local file
  for file in "$lab_here"/../manifests/demo/*.yaml; do
    if [[ ${file##*/} != pod-* ]]; then cp "$file" "$lab_objects"; fi
  done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=shop.local \
    -addext subjectAltName=DNS:shop.local,DNS:localhost -keyout "$lab_dir/key" -out "$lab_dir/certificate" 2>/dev/null
  lab_put secret-shop-tls <<END
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {name: shop-tls, namespace: demo}
data:
  tls.crt: $(base64 -w 0 "$lab_dir/certificate")
  tls.key: $(base64 -w 0 "$lab_dir/key")
END
}

# Everything of the story: two nodes with kubenatd, the shop, the cart, the pages and the Ingress controller.
lab_cluster() {
  lab_write_objects
  lab_agent node-1
  lab_agent node-2
  local waiting
  lab_launch ingress-1 node-1 ingress
  lab_launch shop-1 node-1 shop
  lab_launch shop-2 node-2 shop
  lab_launch cart-1 node-2 cart
  lab_launch pages-1 node-1 pages
  for waiting in ingress-1 shop-1 shop-2 cart-1 pages-1; do lab_ready_when_serving "$waiting"; done
  lab_eventually lab_agent_works node-1 || lab_die "kubenatd does not work: $(tail -n 3 "$lab_dir/log/kubenatd-node-1")"
  lab_eventually lab_agent_works node-2 || lab_die "kubenatd does not work: $(tail -n 3 "$lab_dir/log/kubenatd-node-2")"
  for waiting in ingress-1 shop-1 shop-2 cart-1 pages-1; do
    lab_eventually lab_is_endpoint "$waiting" || lab_die "no rules for $waiting"
  done
}

# An object file of the folder, from standard input, there at once and whole.
lab_put() {
  cat >"$lab_dir/new.yaml"
  mv "$lab_dir/new.yaml" "$lab_objects/$1.yaml"
}

# lab_pod NAME NODE APP: a pod that runs shop, cart or pages (a small web application) or ingress (nginx, with a
# configuration from the folder's Ingress objects) and is ready. In steps: lab_launch starts it, lab_ready_when_serving
# waits and says so in the folder, as the kubelet would.
lab_pod() {
  lab_launch "$@"
  lab_ready_when_serving "$1"
}

lab_launch() {
  local name=$1 node=$2 app=$3 network=${2#node-} number=10 device
  # shellcheck disable=SC2046  # one number a word
  number=$(printf '%s\n' 10 $(cat "$lab_dir/last-pod-$node" 2>/dev/null) | sort -n | tail -n 1)
  number=$((number + 1))
  echo "$number" >"$lab_dir/last-pod-$node"
  device=veth$number
  lab_add_namespace "$name"
  lab_links "$node" <<<"link add $device type veth peer name eth0 netns $lab_name-$name
address add 10.244.$network.1/32 dev $device
address add fd00:10:244:$network::1/128 dev $device nodad
link set $device up
route add 10.244.$network.$number/32 dev $device
route add fd00:10:244:$network::$number/128 dev $device"
  lab_links "$name" <<<"address add 10.244.$network.$number/32 dev eth0
address add fd00:10:244:$network::$number/128 dev eth0 nodad
link set eth0 up
route add default via 10.244.$network.1 dev eth0 onlink
route add default via fd00:10:244:$network::1 dev eth0 onlink"
  printf '%s\n' "$node" "$number" "$app" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$lab_dir/pods/$name"
  lab_application "$name"
}

# Starts the pod's program (again).
lab_application() {
  local -a pod
  mapfile -t pod <"$lab_dir/pods/$1"
  case ${pod[2]} in
    ingress)
      mkdir -p "$lab_dir/nginx-$1"
      lab_start "$1" "$1" python3 "$lab_here/lab/ingress.py" "$lab_objects" "$lab_dir/nginx-$1"
      ;;
    *) lab_start "$1" "$1" python3 "$lab_here/lab/peer.py" serve "$1" --http 8080 --udp 5353 ;;
  esac
}

lab_ready_when_serving() {
  lab_eventually lab_serves "$1" || lab_die "pod $1 does not start: $(tail -n 1 "$lab_dir/log/$1")"
  lab_ready "$1" True
}
lab_serves() { grep -q ^ready "$lab_dir/log/$1"; }

# lab_ready NAME True|False: writes the pod's object.
lab_ready() {
  local -a pod
  mapfile -t pod <"$lab_dir/pods/$1"
  local ports='{name: http, containerPort: 8080}, {name: who, containerPort: 5353, protocol: UDP}'
  if [[ ${pod[2]} == ingress ]]; then
    ports='{name: http, containerPort: 80, hostPort: 80}, {name: https, containerPort: 443, hostPort: 443}'
  fi
  lab_put "pod-$1" <<END
apiVersion: v1
kind: Pod
metadata:
  name: $1
  namespace: demo
  labels: {app: ${pod[2]}}
  creationTimestamp: "${pod[3]}"
spec:
  nodeName: ${pod[0]}
  containers:
    - name: ${pod[2]}
      image: registry.example/${pod[2]}:1
      ports: [$ports]
status:
  phase: Running
  podIP: $(lab_address_of "$1")
  podIPs:
    - {ip: $(lab_address_of "$1")}
    - {ip: "fd00:10:244:${pod[0]#node-}::${pod[1]}"}
  conditions:
    - {type: Ready, status: "$2"}
END
}

lab_address_of() {
  local -a pod
  mapfile -t pod <"$lab_dir/pods/$1"
  echo "10.244.${pod[0]#node-}.${pod[1]}"
}

# The pod goes as under the kubelet: first its object, then, when nothing is sent to it any more (in a cluster a preStop
# pause stands for that), SIGTERM; then its network.
lab_delete_pod() {
  local name=$1
  rm -f "$lab_objects/pod-$name.yaml"
  lab_eventually lab_nothing_leads_to "$(lab_address_of "$name")" || lab_die "rules for $name stay"
  lab_destroy_pod "$name"
}

# The pod's processes and network end at once, whatever its object says.
lab_destroy_pod() {
  if [[ -e $lab_dir/pid/$1 ]]; then lab_stop "$1"; fi
  lab_remove_namespace "$lab_name-$1"
  sed -i "/^$lab_name-$1\$/d" "$lab_dir/namespaces"
  rm -rf "$lab_dir/pods/$1" "$lab_dir/nginx-$1"
}

# On both nodes rules lead to the pod; no rule leads to the address.
lab_is_endpoint() { [[ $(lab_nodes_leading_to "$(lab_address_of "$1")") == "node-1 node-2 " ]]; }
lab_nothing_leads_to() { [[ -z $(lab_nodes_leading_to "$1") ]]; }
lab_nodes_leading_to() {
  local node
  for node in node-1 node-2; do
    if lab_in "$node" iptables-save -t nat | grep -F -- "--to-destination $1:" >/dev/null; then printf '%s ' "$node"; fi
  done
}

# An nginx that reads its configuration anew has two workers for a moment, one that answers by the old one. True when
# that is over, provided that the new one has answered before.
lab_ingress_settled() {
  local file pid count
  for file in "$lab_dir"/pods/*; do
    if ! grep -qx ingress "$file"; then continue; fi
    count=0
    for pid in $(ip netns pids "$lab_name-${file##*/}"); do
      if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == nginx ]]; then count=$((count + 1)); fi
    done
    ((count == 2)) || return 1
  done
}
