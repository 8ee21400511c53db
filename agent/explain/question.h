#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/address.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::agent::explain {

/// What is asked: a destination, and who asks for it.
struct Question {
  enum class Form : std::uint8_t {
    kAddress,  ///< "10.96.0.10:53/udp", "[fd00::1]:80", "localhost:8080"
    kNode,     ///< "node:31290": this node's own address
    kUrl,      ///< "http://shop.local:8080/cart"
  };
  Form form = Form::kAddress;
  std::string text;
  std::optional<rules::Address> address;  ///< none: the node, or a host that is a name
  std::uint16_t port = 0;
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::string host;  ///< kUrl: lower case, without port
  std::string path;  ///< kUrl: begins with "/", without query and fragment
  bool tls = false;  ///< kUrl: https
  std::optional<rules::Address> from;
  bool from_node = false;  ///< "--from node"
};

/// Reads a question as a person or a script writes it. `from` is an address, "node" or empty.
[[nodiscard]] rules::Result<Question> parse_question(std::string_view text, std::string_view from);

}  // namespace kubenatd::agent::explain
