#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/explain/answer.h"
#include "rules/address.h"
#include "rules/rule.h"

namespace kubenatd::agent::trace {

/// What `explain` says of a flow, as far as a packet can be held against it.
struct Prediction {
  struct End {
    std::string kind;   ///< forwarded, local, dropped, rejected, unknown: words of explain's JSON
    std::string cause;  ///< "rules": a rule, or nobody; else what else of the node, as in explain's JSON
    rules::Address destination;
    std::uint16_t port = 0;
    std::optional<rules::Address> last_destination;  ///< it is one of `destination` to this
    std::optional<std::uint16_t> last_port;
    double odds = 1;
    bool odds_known = true;
    bool remembered = false;
    bool masqueraded = false;      ///< its source is replaced
    bool source_may_stay = false;  ///< where it is `masqueraded`: the new source may be the old one
    std::string who;
  };
  rules::Address source, destination;
  std::uint16_t port = 0;
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::string rules;    ///< the rules that were walked: live, desired
  std::string from;     ///< in words
  std::string subject;  ///< "ClusterIP of demo/web:http"; empty: not known
  std::vector<End> ends;
  bool is_open = false;  ///< there may be other ends: not all that could decide was looked at
  std::string client_code, client_text;
  std::vector<std::pair<std::string, std::string>> findings;  ///< code and text
};

/// Of an answer that has a packet; of a URL, the way to the controller.
[[nodiscard]] Prediction to_prediction(const explain::Answer& answer);

/// "10.244.1.5:8080", "dropped", "10.244.1.5:8080, masqueraded".
[[nodiscard]] std::string to_text(const Prediction::End& end);

}  // namespace kubenatd::agent::trace
