#!/usr/bin/env bash
# All pods of an application are replaced, one after another, under steady load by four ways: not one failed request.
# shellcheck source=test/lab/scenario.bash
source "$(dirname "${BASH_SOURCE[0]}")/scenario.bash"
lab_up
lab_cluster

loads=(hostport nodeport clusterip balancer)
lab_start hostport host python3 scripts/lab/peer.py load 127.0.0.1 8080 --host shop.local
lab_start nodeport client python3 scripts/lab/peer.py load $node_1 30080
lab_start clusterip pages-1 python3 scripts/lab/peer.py load 10.96.0.80 80
lab_start balancer client python3 scripts/lab/peer.py load 203.0.113.80 80
for load in "${loads[@]}"; do lab_eventually grep -q ready "$lab_dir/log/$load"; done

say "two rounds"
old=(shop-1 shop-2)
for round in 1 2; do
  new=()
  for number in 1 2; do
    fresh=shop-$round-$number
    lab_pod "$fresh" "node-$number" shop
    check "$fresh is an endpoint" lab_eventually lab_is_endpoint "$fresh"
    gone=$(lab_address_of "${old[number - 1]}")
    lab_delete_pod "${old[number - 1]}"
    check "${old[number - 1]} is gone, and all rules to it" lab_nothing_leads_to "$gone"
    new+=("$fresh")
  done
  old=("${new[@]}")
done

say "the load"
for load in "${loads[@]}"; do
  lab_stop "$load"
  echo "$load: $(sed 1d "$lab_dir/log/$load")"
  check "not one request by $load failed" grep -qE '^[1-9][0-9]* requests, 0 failed' "$lab_dir/log/$load"
done
