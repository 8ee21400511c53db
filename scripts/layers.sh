#!/usr/bin/env bash
# Checks that the layers stand: rules ← netlink ← agent and the floors inside each, every folder including only what lies
# below it; the pure layer without I/O, and no layer that runs a program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

broken=0
# forbid WHY PATTERN FOLDER...: no source line in the folders may match. Comments are taken off first.
forbid() {
  local why=$1 pattern=$2 hits
  shift 2
  hits=$(find "$@" \( -name '*.h' -o -name '*.cpp' \) -print0 2>/dev/null |
    xargs -0 -r awk -v pattern="$pattern" '{ line = $0; sub(/\/\/.*/, "", line) }
      line ~ pattern { print FILENAME ":" FNR ": " $0 }')
  if [[ -n $hits ]]; then
    echo "layers: $why"
    echo "$hits"
    broken=1
  fi
}

# What each folder may include beside its own files. The two modes of a layer, iptables and nftables, never see each
# other; who stands above the dataplane knows no mode, but for commands that print one and explain, which walks both.
declare -A may=(
  [rules]=""
  [rules/hostport]="rules"
  [rules/iptables]="rules rules/hostport"
  [rules/nftables]="rules rules/hostport"
  [rules/walk]="rules"
  [rules/walk/xt]="rules rules/walk"
  [rules/walk/nft]="rules rules/walk"
  [netlink/core]="rules"
  [netlink/iptables]="rules rules/iptables netlink/core"
  [netlink/nftables]="rules rules/nftables netlink/core"
  [netlink/host]="rules rules/walk netlink/core"
  [netlink/walk]="rules rules/walk rules/walk/xt rules/walk/nft netlink/core netlink/iptables netlink/nftables"
  [netlink/trace]="rules netlink/core"
  [agent/base]="rules"
  [agent/documents]="rules agent/base"
  [agent/objects]="rules agent/base"
  [agent/config]="rules rules/iptables rules/nftables agent/base agent/documents agent/objects"
  [agent/sources]="rules agent/base agent/documents agent/objects"
  [agent/api]="rules agent/base agent/documents agent/objects agent/sources"
  [agent/state]="rules rules/hostport agent/base agent/objects"
)
below_dataplane="rules rules/hostport rules/walk rules/walk/xt rules/walk/nft netlink/core netlink/walk netlink/trace \
  netlink/host agent/base agent/objects agent/config agent/state"
# Both modes' folders are named by make_dataplane.cpp, and neither knows the other.
may[agent/dataplane]="$below_dataplane rules/iptables rules/nftables netlink/iptables netlink/nftables \
  agent/dataplane/iptables agent/dataplane/nftables"
may[agent/dataplane/iptables]="$below_dataplane rules/iptables netlink/iptables netlink/nftables agent/dataplane"
may[agent/dataplane/nftables]="$below_dataplane rules/nftables netlink/nftables agent/dataplane"
may[agent/explain]="$below_dataplane rules/iptables rules/nftables agent/dataplane"
may[agent/trace]="${may[agent/explain]} agent/explain"
may[agent/report]="rules rules/walk agent/base agent/documents agent/config agent/explain"
may[agent/node]="$below_dataplane rules/nftables agent/dataplane"
may[agent/seen]="$below_dataplane rules/iptables agent/dataplane"
may[agent/serve]="$below_dataplane rules/iptables rules/nftables netlink/iptables netlink/nftables agent/dataplane agent/seen"
may[agent/page]="$below_dataplane rules/iptables netlink/iptables agent/dataplane agent/seen agent/serve"
may[agent/daemon]="$below_dataplane rules/iptables rules/nftables agent/sources agent/api agent/dataplane agent/seen agent/serve \
  agent/page"
may[agent/cli]="${may[agent/explain]} agent/sources agent/api agent/explain agent/trace agent/node agent/report agent/seen agent/serve \
  agent/page agent/daemon"
may[agent]="agent/base agent/cli"

# The folder of each quoted include, in front of the place where it stands. Includes without a folder are of the same one.
includes_of() {
  find "$1" -maxdepth 1 \( -name '*.h' -o -name '*.cpp' \) -print0 | sort -z | xargs -0 -r awk '
    /^[[:space:]]*#[[:space:]]*include[[:space:]]*"/ {
      split($0, part, "\"")
      if (sub(/\/[^\/]*$/, "", part[2])) print part[2], FILENAME ":" FNR ": " $0
    }'
}
while read -r folder; do
  if [[ -z ${may[$folder]+known} ]]; then
    echo "layers: $folder is in no layer: say in scripts/layers.sh what it may include"
    broken=1
    continue
  fi
  while read -r included place; do
    if [[ " $folder ${may[$folder]} " != *" $included "* ]]; then
      echo "layers: $folder may not include $included"
      echo "$place"
      broken=1
    fi
  done < <(includes_of "$folder")
done < <(find rules netlink agent \( -name '*.h' -o -name '*.cpp' \) -printf '%h\n' | sort -u)

forbid "rules/ is pure: no sockets, files, threads, clocks or JSON" \
  '#include <(sys/(socket|stat|mman|epoll)|unistd|fcntl|poll|net/|netinet/|linux/netlink|lib(mnl|nftnl)|netlink/|fstream|filesystem|iostream|thread|mutex|chrono|nlohmann|yaml\.h)' rules
forbid "netlink/ knows nothing of Kubernetes: no JSON, no YAML" '#include <(nlohmann|yaml\.h)' netlink
forbid "the product runs no other program" \
  '(^|[^A-Za-z0-9_.>:])((std)?::)?(system|popen|exec[lv]p?e?|execvpe|fexecve|execveat|posix_spawnp?|fork|vfork)[[:space:]]*\(' \
  rules netlink agent
forbid "cpprestsdk's insides are named in agent/base/cpprest_internals.h alone" \
  'cpprest/details/|http_server_api|http_listener_impl|_http_server_context|_create_request|_get_server_context|streambuf_state_manager|streams::details' \
  rules netlink agent ! -path agent/base/cpprest_internals.h

if ((broken)); then exit 1; fi
echo "layers: ok"
