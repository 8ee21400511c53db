#!/usr/bin/env bash
# Whom the application sees in each way in; externalTrafficPolicy Local on a node with a pod and on one without.
# shellcheck source=test/lab/scenario.bash
source "$(dirname "${BASH_SOURCE[0]}")/scenario.bash"
lab_up
lab_cluster

say "traffic policy Cluster: the pod sees the node, its address towards the pod"
always 8 client $node_1 http://$node_1:30080/ "200 shop-[12], asked by @(10.244.1.1|172.18.0.2)"
check "a pod of the other node sees this node" lab_eventually outcome_is client $node_1 http://$node_1:30080/ \
  "200 shop-2, asked by 172.18.0.2"
check "a pod of this node sees its gateway" lab_eventually outcome_is client $node_1 http://$node_1:30080/ \
  "200 shop-1, asked by 10.244.1.1"

say "traffic policy Local: the pod of the node that is asked sees the client"
always 8 client $node_1 http://$node_1:30090/ "200 shop-1, asked by 192.168.77.100"
always 8 client $node_2 http://$node_2:30090/ "200 shop-2, asked by 192.168.77.100"
told node-1 node:30090 "" answer

say "hostPort: the controller sees the client, and hands it on; the application's peer is the controller"
expect client 192.168.77.1 http://shop.local:8080/ "200 shop-[12], asked by 10.244.1.11 for 192.168.77.100"
expect client $node_1 http://shop.local/ "200 shop-[12], asked by 10.244.1.11 for 192.168.77.100"
expect host $host http://shop.local:8080/ "200 shop-[12], asked by 10.244.1.11 for 172.18.0.1"

say "ClusterIP: a pod is seen as itself, but as its node when it reaches itself"
always 8 cart-1 10.96.0.80 http://10.96.0.80/ "200 shop-[12], asked by 10.244.2.12"
check "shop-1 by its Service" lab_eventually outcome_is shop-1 10.96.0.80 http://10.96.0.80/ \
  "200 shop-1, asked by 10.244.1.1"

say "hairpin through the hostPort: the controller's pod asks its own node"
expect ingress-1 $node_1 http://shop.local/ "200 shop-[12], asked by 10.244.1.11 for 10.244.1.1"

say "Local, and the node's only pod goes: dropped there, not handed to the other node; the other node goes on"
lab_delete_pod shop-1
dropped() { [[ $(lab_web client $node_1 http://$node_1:30090/ --max-time 2) == timeout ]]; }
check "a client from outside gets no answer from node-1" dropped
always 4 client $node_2 http://$node_2:30090/ "200 shop-2, asked by 192.168.77.100"
always 4 client $node_1 http://$node_1:30080/ "200 shop-2, asked by 172.18.0.2"
told node-1 node:30090 local-policy-without-local-endpoint timeout
# From inside the cluster the policy does not hold: it is the Service's ClusterIP in disguise.
always 4 pages-1 $node_1 http://$node_1:30090/ "200 shop-2, asked by 1*"
always 4 pages-1 10.96.0.90 http://10.96.0.90/ "200 shop-2, asked by 10.244.1.13"

say "and comes back"
lab_pod shop-3 node-1 shop
become client $node_1 http://$node_1:30090/ "200 shop-3, asked by 192.168.77.100"
told node-1 node:30090 "" answer
