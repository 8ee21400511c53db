#!/usr/bin/env bash
# An Ingress is no hop of the packets' way but the controller's configuration: without it the controller answers 404,
# while the Service behind it goes on.
# shellcheck source=test/lab/scenario.bash
source "$(dirname "${BASH_SOURCE[0]}")/scenario.bash"
lab_up
lab_cluster
expect host $host http://shop.local:8080/cart "200 cart-1*"

say "the Ingress object is deleted"
before=$(lab_in node-1 iptables-save -t nat | grep '^-A')
ingress=$(cat "$lab_objects/ingress.yaml")
# The last two objects of the file: everything from the first "kind: Ingress" on.
awk 'BEGIN { RS = ORS = "---\n" } !/kind: Ingress\n/' <<<"$ingress" | sed '$ { /^---$/d }' | lab_put ingress
become host $host http://shop.local:8080/cart "404 *"
expect host $node_1 http://shop.local:31290/cart "404 *"
expect host $host http://shop.local:8080/ "404 *"
expect pages-1 10.96.0.82 http://10.96.0.82/cart "200 cart-1*"
unchanged() { [[ $(lab_in node-1 iptables-save -t nat | grep '^-A') == "$before" ]]; }
check "the chains are the same" unchanged
told node-1 http://shop.local:8080/cart ingress-no-match http-404

say "and restored"
lab_put ingress <<<"$ingress"
become host $host http://shop.local:8080/cart "200 cart-1*"
told node-1 http://shop.local:8080/cart "" answer

say "an Ingress of a class that this controller does not serve"
sed 's/ingressClassName: nginx/ingressClassName: other/' <<<"$ingress" | lab_put ingress
become host $host http://shop.local:8080/cart "404 *"
told node-1 http://shop.local:8080/cart ingress-class-unknown http-404
