#include "agent/explain/question.h"

#include "agent/api/server_url.h"
#include "agent/explain/path_regex.h"
#include "test/fuzz/fuzz.h"

/// Addresses as people and kubeconfigs write them, and patterns of Ingress paths.
namespace kubenatd::fuzz {

void check(std::string_view input) {
  const std::size_t end = std::min(input.find('\n'), input.size());
  const std::string_view first = input.substr(0, end), second = input.substr(std::min(end + 1, input.size()));
  const auto question = agent::explain::parse_question(first, second);
  if (!question) require_line(question.error());
  (void)agent::explain::fits_at_start(first, second);
  const auto url = agent::api::ServerUrl::parse(std::string(first), "object", "field");
  if (!url) {
    require_line(url.error());
    return;
  }
  const std::string text = url->to_string();
  require_line(text);
  const auto again = agent::api::ServerUrl::parse(text, "object", "field");
  require(again && again->to_string() == text, "the address of a server is read as it was", text);
}

}  // namespace kubenatd::fuzz
