#!/usr/bin/env bash
# What goes wrong behind the controller, one thing after another: what a client sees, and what explain says of it.
# shellcheck source=test/lab/scenario.bash
source "$(dirname "${BASH_SOURCE[0]}")/scenario.bash"
lab_up
lab_cluster
shop=$(cat "$lab_objects/shop.yaml")

say "one pod is not ready: the others serve"
second=$(lab_address_of shop-2)
lab_ready shop-2 False
check "no rule leads to shop-2" lab_eventually lab_nothing_leads_to "$second"
always 12 host $host http://shop.local:8080/ "200 shop-1*"
lab_ready shop-2 True
check "and again, when it is ready" lab_eventually lab_is_endpoint shop-2

say "one pod's program has died, and nobody has noticed yet: a part of the requests fails, until it is taken out"
lab_stop shop-2 KILL
check "some meet it: 502 from the controller" lab_eventually outcome_is host $host http://shop.local:8080/ "502 *"
check "some do not" lab_eventually outcome_is host $host http://shop.local:8080/ "200 shop-1*"
lab_ready shop-2 False
check "no rule leads to shop-2" lab_eventually lab_nothing_leads_to "$second"
always 12 host $host http://shop.local:8080/ "200 shop-1*"
lab_application shop-2
lab_ready_when_serving shop-2
check "and again, when it is restarted" lab_eventually lab_is_endpoint shop-2

say "one pod is gone: the others serve"
lab_delete_pod shop-2
always 12 host $host http://shop.local:8080/ "200 shop-1*"

say "the last pod is not ready: the Service refuses at once, the controller says 502"
lab_ready shop-1 False
become pages-1 10.96.0.80 http://10.96.0.80/ "connection refused"
expect host $host http://shop.local:8080/ "502 *"
expect client 203.0.113.80 http://203.0.113.80/ "connection refused"
told node-1 10.96.0.80:80 no-ready-endpoint refused
told node-1 http://shop.local:8080/ no-ready-endpoint http-503
lab_ready shop-1 True
become host $host http://shop.local:8080/ "200 shop-1*"

say "the last pod is gone"
lab_delete_pod shop-1
expect pages-1 10.96.0.80 http://10.96.0.80/ "connection refused"
expect host $host http://shop.local:8080/ "502 *"
told node-1 10.96.0.80:80 selector-matches-nothing refused
lab_pod shop-3 node-2 shop
become host $host http://shop.local:8080/ "200 shop-3*"

say "wrong targetPort: nothing listens there"
sed 's/targetPort: http/targetPort: 8081/' <<<"$shop" | lab_put shop
become host $host http://shop.local:8080/ "502 *"
expect pages-1 10.96.0.80 http://10.96.0.80/ "connection refused"
told node-1 http://shop.local:8080/ "" answer
lab_put shop <<<"$shop"
become host $host http://shop.local:8080/ "200 shop-3*"

say "wrong name of the targetPort"
sed 's/targetPort: http/targetPort: htpp/' <<<"$shop" | lab_put shop
become host $host http://shop.local:8080/ "502 *"
told node-1 http://shop.local:8080/ port-name-mismatch http-503
lab_put shop <<<"$shop"
become host $host http://shop.local:8080/ "200 shop-3*"

say "wrong selector: no endpoints"
sed 's/selector: {app: shop}/selector: {app: shopp}/' <<<"$shop" | lab_put shop
become host $host http://shop.local:8080/ "502 *"
expect pages-1 10.96.0.80 http://10.96.0.80/ "connection refused"
told node-1 http://shop.local:8080/ selector-matches-nothing http-503
lab_put shop <<<"$shop"
become host $host http://shop.local:8080/ "200 shop-3*"

say "wrong host header"
expect host $host http://shopp.local:8080/ "404 *"
told node-1 http://shopp.local:8080/ ingress-no-match http-404

say "the Service is deleted"
rm "$lab_objects/shop.yaml"
become host $host http://shop.local:8080/ "503 *"
check "no rule speaks of it" lab_eventually sh -c "! ip netns exec $lab_name-node-1 iptables-save -t nat | grep -q demo/shop:"
told node-1 http://shop.local:8080/ ingress-backend-missing http-503
expect host $host http://shop.local:8080/cart "200 cart-1*"
