#!/usr/bin/env bash
# Checks that the layers stand: rules ← netlink ← agent, each including only what lies below it, the pure layer without
# I/O, and no layer that runs a program.
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

forbid "rules/ may include only rules/" '#include "(netlink|agent|test)/' rules
forbid "netlink/ may include only netlink/ and rules/" '#include "(agent|test)/' netlink
forbid "agent/ may not include test/" '#include "test/' agent
forbid "rules/ is pure: no sockets, files, threads, clocks or JSON" \
  '#include <(sys/(socket|stat|mman|epoll)|unistd|fcntl|poll|net/|netinet/|linux/netlink|lib(mnl|nftnl)|netlink/|fstream|filesystem|iostream|thread|mutex|chrono|nlohmann|yaml-cpp)' rules
forbid "netlink/ knows nothing of Kubernetes: no JSON, no YAML" '#include <(nlohmann|yaml-cpp)' netlink
forbid "objects, sources, configuration and state do not know the kernel" '#include "netlink/' \
  agent/base agent/objects agent/sources agent/config agent/state
forbid "the product runs no other program" \
  '(^|[^A-Za-z0-9_.>:])((std)?::)?(system|popen|exec[lv]p?e?|execvpe|fexecve|execveat|posix_spawnp?|fork|vfork)[[:space:]]*\(' \
  rules netlink agent
forbid "cpprestsdk's insides are named in agent/base/cpprest_internals.h alone" \
  'cpprest/details/|http_server_api|http_listener_impl|_http_server_context|_create_request|_get_server_context|streambuf_state_manager|streams::details' \
  rules netlink agent ! -path agent/base/cpprest_internals.h

if ((broken)); then exit 1; fi
echo "layers: ok"
