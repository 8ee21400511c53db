#include "agent/explain/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "agent/base/printable.h"

namespace kubenatd::agent::explain {
namespace {

using rules::Protocol;

constexpr std::size_t kLongest = 4096;

std::unexpected<rules::Error> refuse(std::string_view text, std::string cause) {
  return rules::fail("question " + base::in_quotes(text), "read", std::move(cause));
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

struct HostPort {
  std::string_view host;
  std::string_view port;  ///< empty: not given
};

/// "HOST:PORT", "[IPv6]:PORT"; without a port also a bare IPv6 address.
std::optional<HostPort> split_host_port(std::string_view text) {
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || rest.size() == 1)) return std::nullopt;
    return HostPort{text.substr(1, end - 1), rest.empty() ? rest : rest.substr(1)};
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) return HostPort{text, {}};
  if (colon + 1 == text.size()) return std::nullopt;
  return HostPort{text.substr(0, colon), text.substr(colon + 1)};
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return result;
}

rules::Result<Question> parse_url(std::string_view text, std::string_view rest, bool tls) {
  constexpr std::uint16_t kHttp = 80;
  constexpr std::uint16_t kHttps = 443;
  Question question;
  question.form = Question::Form::kUrl;
  question.tls = tls;
  const auto end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, end);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  question.path = "/";
  if (end != std::string_view::npos && rest[end] == '/')
    question.path = rest.substr(end, rest.find_first_of("?#", end) - end);
  const auto parts = split_host_port(authority);
  if (!parts || parts->host.empty()) return refuse(text, "no host is in this URL");
  question.host = lower(parts->host);
  question.port = tls ? kHttps : kHttp;
  if (!parts->port.empty()) {
    const auto port = read_port(parts->port);
    if (!port) return refuse(text, base::in_quotes(parts->port) + " is not a port");
    question.port = *port;
  }
  question.address = rules::Address::parse(question.host);
  if (question.host == "localhost") question.address = rules::Address::parse("127.0.0.1");
  return question;
}

rules::Result<Question> parse_destination(std::string_view text) {
  Question question;
  std::string_view rest = text;
  if (const auto slash = rest.rfind('/'); slash != std::string_view::npos) {
    const std::string protocol = lower(rest.substr(slash + 1));
    rest = rest.substr(0, slash);
    bool known = false;
    for (const Protocol one : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp}) {
      if (protocol != name_of(one)) continue;
      question.protocol = one;
      known = true;
    }
    if (!known) return refuse(text, base::in_quotes(protocol) + " is not tcp, udp or sctp");
  }
  const auto parts = split_host_port(rest);
  if (!parts || parts->port.empty())
    return refuse(text, "it is none of ADDRESS:PORT[/PROTOCOL], node:PORT[/PROTOCOL] and http(s)://HOST[:PORT][/PATH]");
  const auto port = read_port(parts->port);
  if (!port) return refuse(text, base::in_quotes(parts->port) + " is not a port");
  question.port = *port;
  if (parts->host == "node") {
    question.form = Question::Form::kNode;
    return question;
  }
  question.address =
      parts->host == "localhost" ? rules::Address::parse("127.0.0.1") : rules::Address::parse(parts->host);
  if (!question.address)
    return refuse(text, base::in_quotes(parts->host) + " is not an IP address, \"node\" or \"localhost\"");
  return question;
}

}  // namespace

rules::Result<Question> parse_question(std::string_view text, std::string_view from) {
  if (text.size() > kLongest) return refuse(text, "it is too long");
  constexpr std::string_view kPlain = "http://";
  constexpr std::string_view kSecure = "https://";
  auto question = text.starts_with(kPlain)    ? parse_url(text, text.substr(kPlain.size()), false)
                  : text.starts_with(kSecure) ? parse_url(text, text.substr(kSecure.size()), true)
                                              : parse_destination(text);
  if (!question) return question;
  question->text = text;
  if (from.empty()) return question;
  question->from_node = from == "node";
  if (question->from_node) return question;
  question->from = rules::Address::parse(from);
  if (!question->from) return refuse(text, base::in_quotes(from) + " is not an IP address to come from, or \"node\"");
  if (question->address && question->address->family != question->from->family)
    return refuse(text, "source and destination are of different families");
  return question;
}

}  // namespace kubenatd::agent::explain
