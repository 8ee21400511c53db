#!/usr/bin/env bash
# A request by every way in: host and path through the hostPort, NodePort, ClusterIP, and past all chains by port-forward.
# shellcheck source=test/lab/scenario.bash
source "$(dirname "${BASH_SOURCE[0]}")/scenario.bash"
lab_up
lab_cluster

say "localhost of the host: its port mapping, the node's hostPort, the controller, the Service behind the Ingress"
expect host $host http://shop.local:8080/ "200 shop-*"
expect host $host http://shop.local:8080/cart "200 cart-1*"
expect host $host http://shop.local:8080/cart/7 "200 cart-1*"
expect host $host http://shop.local:8080/cartoon "200 shop-*"
expect host $host http://shop.local:8080/status "200 pages-1*"
expect host $host http://shop.local:8080/status/x "200 shop-*"
expect host $host http://cart.local:8080/cart "200 cart-1*"
expect host $host http://cart.local:8080/ "404 *"
expect host $host http://nobody.local:8080/ "404 *"
expect host $host https://shop.local:8443/cart "200 cart-1*"
certified() { lab_web host $host https://shop.local:8443/ --cacert "$lab_dir/certificate" | grep -q ^200; }
check "the certificate is shop.local's" certified
told node-1 http://shop.local:8080/cart "" answer

say "from another machine, by the host's address"
expect client 192.168.77.1 http://shop.local:8080/cart "200 cart-1*for 192.168.77.100"

say "NodePort, on the controller's node and on the other"
expect host $node_1 http://shop.local:31290/cart "200 cart-1*"
expect host $node_2 http://shop.local:31290/cart "200 cart-1*"
expect host $node_1 https://shop.local:30946/cart "200 cart-1*"
told node-1 node:31290 "" answer

say "ClusterIP: from pods of both nodes, in both families; a pod that reaches itself"
always 10 cart-1 10.96.0.80 http://10.96.0.80/ "200 shop-*, asked by 10.244.2.12"
always 10 pages-1 10.96.0.80 http://10.96.0.80/ "200 shop-*, asked by 10.244.1.13"
expect cart-1 10.96.0.82 http://10.96.0.82/ "200 cart-1, asked by 10.244.2.1"
if $lab_ipv6; then expect cart-1 "[fd00:10:96::80]" "http://[fd00:10:96::80]/" "200 shop-*, asked by fd00:10:244:2::12"; fi
told node-1 10.96.0.80:80 "" answer --from 10.244.1.13

say "port-forward: a relay to the pod, past all chains"
lab_start forward-pod shop-1 python3 scripts/lab/peer.py relay "$lab_dir/forward" 8080
lab_start forward-host host python3 scripts/lab/peer.py relay 9080 "$lab_dir/forward"
lab_eventually grep -q ready "$lab_dir/log/forward-pod"
lab_eventually grep -q ready "$lab_dir/log/forward-host"
expect host $host http://localhost:9080/ "200 shop-1, asked by 127.0.0.1"
rm "$lab_objects/shop.yaml"
become host $host http://shop.local:8080/ "503 *"
expect host $host http://localhost:9080/ "200 shop-1, asked by 127.0.0.1"
