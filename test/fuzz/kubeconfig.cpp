#include "agent/api/access.h"
#include "test/fuzz/fuzz.h"

/// A kubeconfig, and the addresses in it.
namespace kubenatd::fuzz {

using agent::api::ServerUrl;

void check(std::string_view input) {
  const auto access = agent::api::parse_kubeconfig(std::string(input), "/nowhere/kubeconfig", {});
  if (!access) {
    require_line(access.error());
    return;
  }
  require_lines(access->warnings);
  require(!access->server.host.empty() && access->server.port != 0, "a server has a host and a port");
  const std::string text = access->server.to_string();
  require_line(text);
  const auto again = ServerUrl::parse(text, "object", "field");
  require(again.has_value(), "the address of a server can be read again", text);
  require(again->to_string() == text, "the address of a server is read as it was", text);
}

}  // namespace kubenatd::fuzz
