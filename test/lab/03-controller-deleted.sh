#!/usr/bin/env bash
# The controller's pod goes and comes back with another address: no way in for a while, refused and not left hanging,
# then again by both ways, and no rule is left that leads to the old address.
# shellcheck source=test/lab/scenario.bash
source "$(dirname "${BASH_SOURCE[0]}")/scenario.bash"
lab_up
lab_cluster
expect host $host http://shop.local:8080/ "200 shop-*"
expect client $node_2 http://shop.local:31290/ "200 shop-*"
old=$(lab_address_of ingress-1)
lab_start load host python3 scripts/lab/peer.py load 127.0.0.1 8080 --host shop.local --patience 2
lab_eventually grep -q ready "$lab_dir/log/load"

say "the pod is killed, without notice"
lab_destroy_pod ingress-1
rm "$lab_objects/pod-ingress-1.yaml"
check "no rule leads to $old any more" lab_eventually lab_nothing_leads_to "$old"
expect host $host http://shop.local:8080/ "connection refused"
expect host $node_1 http://shop.local:31290/ "connection refused"
expect client $node_2 http://shop.local:31290/ "connection refused"
expect cart-1 10.96.0.81 http://shop.local/ "connection refused"
expect pages-1 10.96.0.80 http://10.96.0.80/ "200 shop-*"
told node-1 http://shop.local:31290/ selector-matches-nothing refused

say "a new one starts"
lab_pod ingress-2 node-1 ingress
new=$(lab_address_of ingress-2)
become host $host http://shop.local:8080/ "200 shop-*, asked by $new *"
become host $node_1 http://shop.local:31290/ "200 shop-*, asked by $new *"
become client $node_2 http://shop.local:31290/ "200 shop-*, asked by $new *"
always 10 host $host http://shop.local:8080/cart "200 cart-1*"
check "no rule leads to $old" lab_nothing_leads_to "$old"
one_host_port_chain() {
  [[ $(lab_in node-1 iptables -w -t nat -S | grep -c '^-N CNI-DN-') == 1 ]] &&
    lab_in node-1 iptables -w -t nat -S CNI-HOSTPORT-DNAT | grep -q ingress-2
}
check "the hostPorts are the new pod's alone" one_host_port_chain
told node-1 http://shop.local:8080/cart "" answer

check "a steady client is answered again" lab_eventually grep -q '^answered again' "$lab_dir/log/load"
lab_stop load
echo "the gap as it saw it: $(sed 1d "$lab_dir/log/load")"

say "on the other node: the hostPorts go with it, NodePorts stay"
lab_delete_pod ingress-2
lab_pod ingress-3 node-2 ingress
become host $node_1 http://shop.local:31290/ "200 shop-*"
become host $node_2 http://shop.local/ "200 shop-*"
expect host $host http://shop.local:8080/ "connection refused"
