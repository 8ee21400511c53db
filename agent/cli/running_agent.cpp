#include "agent/cli/running_agent.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>

#include "agent/base/printable.h"
#include "agent/config/bind_address.h"
#include "agent/daemon/configuration.h"
#include "agent/daemon/http_question.h"

namespace kubenatd::agent::cli {
namespace {

/// Longer than an agent lets anybody wait.
constexpr std::chrono::milliseconds kPatience{5000};
/// A page of a thousand Services is some hundred kB.
constexpr std::size_t kLongest = 64U << 20;

constexpr unsigned kOk = 200;
constexpr unsigned kNotFound = 404;

}  // namespace

rules::Result<std::string> ask_running_agent(const config::FlagValues& flags, const std::string& target) {
  const auto loaded = daemon::load_configuration(flags);
  if (!loaded) return std::unexpected(loaded.error());
  const std::string& address = loaded->config.metrics_bind_address;
  if (address.empty())
    return rules::fail("running agent", "ask", "the configuration has no metrics address, where it would answer");
  const auto server = config::parse_bind_address(address);
  if (!server) return rules::fail("running agent", "ask", "its metrics address is not IP:port: " + address);
  auto answer = daemon::ask_http(*server, target, {.patience = kPatience, .longest = kLongest});
  if (!answer) {
    rules::Error error = answer.error();
    if (error.code == ECONNREFUSED)
      error.cause += "; no agent runs here, or it serves elsewhere: --config or --metrics-bind-address say where";
    return std::unexpected(std::move(error));
  }
  if (answer->status == kOk) return std::move(answer->body);
  if (answer->status == kNotFound)
    return rules::fail(address, "ask", "who answers there is no kubenatd, or an older one");
  return rules::fail(
      address, "ask",
      fmt::format("it answers {}: {}", answer->status, base::one_line(base::trimmed(answer->body), 200)));
}

}  // namespace kubenatd::agent::cli
