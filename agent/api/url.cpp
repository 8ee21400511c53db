#include "agent/api/url.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <vector>

#include "agent/base/printable.h"
#include "rules/words.h"

namespace kubenatd::agent::api {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("-_.~").contains(c);
}

bool stands_in_host(char c) {
  return is_unreserved(c) || std::string_view("!$&'()*+,;=:[]<>\"").contains(c) ||
         static_cast<unsigned char>(c) >= 0x80;
}

enum class Part : std::uint8_t { kPath, kUser, kHost, kZone };

/// Takes "%XX" apart. In a host only bytes beyond ASCII may be written so.
std::optional<std::string> unescaped(std::string_view text, Part part, std::string& cause) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '%') {
      if ((part == Part::kHost || part == Part::kZone) && !stands_in_host(c)) {
        cause = fmt::format("has the character {} in its host", base::in_quotes(std::string_view(&text[i], 1)));
        return std::nullopt;
      }
      out.push_back(c);
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    const bool percent = text.substr(i, 3) == "%25";
    const char byte = static_cast<char>(high * 16 + low);
    const bool good = high >= 0 && low >= 0 && (part != Part::kHost || high >= 8 || percent) &&
                      (part != Part::kZone || percent || byte == ' ' || stands_in_host(byte));
    if (!good) {
      cause = fmt::format("has {}, which may not stand there", base::in_quotes(text.substr(i, 3)));
      return std::nullopt;
    }
    out.push_back(byte);
    i += 2;
  }
  return out;
}

/// Takes the scheme off. Nothing: there is only a colon.
std::optional<std::string> take_scheme(std::string_view& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_letter(c)) continue;
    if (is_digit(c) || c == '+' || c == '-' || c == '.') {
      if (i == 0) return "";
      continue;
    }
    if (c != ':') return "";
    if (i == 0) return std::nullopt;
    std::string scheme = rules::lower_case(text.substr(0, i));
    text.remove_prefix(i + 1);
    return scheme;
  }
  return "";
}

/// "", ":" or ":DIGITS".
bool take_port(std::string_view text, Url& url, std::string& cause) {
  if (text.empty()) return true;
  url.port = text.substr(1);
  url.colon_without_port = url.port.empty();
  if (text.front() == ':' && std::all_of(url.port.begin(), url.port.end(), is_digit)) return true;
  cause = fmt::format("has {} where its port should be", base::in_quotes(text));
  return false;
}

bool take_host(std::string_view text, Url& url, std::string& cause) {
  const auto bracket = text.rfind('[');
  if (bracket == std::string_view::npos) {
    const bool web = url.scheme == "http" || url.scheme == "https";
    const auto colon = web ? text.find(':') : text.rfind(':');
    if (colon != std::string_view::npos && !take_port(text.substr(colon), url, cause)) return false;
    auto host = unescaped(text.substr(0, colon), Part::kHost, cause);
    if (!host) return false;
    url.host = std::move(*host);
    return true;
  }
  const auto end = text.rfind(']');
  if (bracket > 0 || end == std::string_view::npos) {
    cause = "has a \"[\" that belongs to no address";
    return false;
  }
  if (!take_port(text.substr(end + 1), url, cause)) return false;
  const std::string_view inside = text.substr(1, end - 1);
  const auto zone = inside.find("%25");
  const auto host = unescaped(inside.substr(0, zone), Part::kHost, cause);
  if (!host) return false;
  url.host = *host;
  if (zone != std::string_view::npos) {
    const auto name = unescaped(inside.substr(zone), Part::kZone, cause);
    if (!name) return false;
    url.host += *name;
  }
  if (is_ipv6(url.host)) return true;
  cause = "has no IPv6 address in its brackets";
  return false;
}

bool take_authority(std::string_view text, Url& url, std::string& cause) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos) return take_host(text, url, cause);
  if (!take_host(text.substr(at + 1), url, cause)) return false;
  const std::string_view info = text.substr(0, at);
  if (!std::all_of(info.begin(), info.end(),
                   [](char c) { return is_unreserved(c) || std::string_view(":!$&'()*+,;=%@").contains(c); })) {
    cause = "has a user name with characters that must be written as %XX";
    return false;
  }
  const auto colon = info.find(':');
  const auto user = unescaped(info.substr(0, colon), Part::kUser, cause);
  const auto password =
      unescaped(colon == std::string_view::npos ? std::string_view() : info.substr(colon + 1), Part::kUser, cause);
  if (!user || !password) return false;
  url.has_user = true;
  url.user = *user;
  url.password = *password;
  return true;
}

}  // namespace

std::optional<Url> Url::parse(std::string_view text, std::string& cause, bool request) {
  Url url;
  if (!request) {
    if (const auto hash = text.find('#'); hash != std::string_view::npos) {
      if (!unescaped(text.substr(hash + 1), Part::kPath, cause)) return std::nullopt;
      text = text.substr(0, hash);
    }
  }
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; })) {
    cause = "has a control character";
    return std::nullopt;
  }
  if (text.empty() && request) {
    cause = "is empty";
    return std::nullopt;
  }
  auto scheme = take_scheme(text);
  if (!scheme) {
    cause = "has a \":\" with no scheme before it";
    return std::nullopt;
  }
  url.scheme = std::move(*scheme);
  text = text.substr(0, text.find('?'));
  if (!text.starts_with('/')) {
    if (!url.scheme.empty()) {
      url.opaque = true;
      return url;
    }
    if (request || text.substr(0, text.find('/')).contains(':')) {
      cause = "has no scheme";
      return std::nullopt;
    }
  }
  if (text.starts_with("//") && (!url.scheme.empty() || (!request && !text.starts_with("///")))) {
    text.remove_prefix(2);
    const auto slash = text.find('/');
    if (!take_authority(text.substr(0, slash), url, cause)) return std::nullopt;
    text = slash == std::string_view::npos ? std::string_view() : text.substr(slash);
  }
  auto path = unescaped(text, Part::kPath, cause);
  if (!path) return std::nullopt;
  url.path = std::move(*path);
  return url;
}

std::string cleaned_path(std::string_view path) {
  std::vector<std::string_view> kept;
  for (const std::string_view part : rules::split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..")
      kept.push_back(part);
    else if (!kept.empty())
      kept.pop_back();
  }
  std::string out;
  for (const std::string_view part : kept) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

std::string escaped_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (is_unreserved(c) || std::string_view("$&+,/:;=@").contains(c))
      out.push_back(c);
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

bool is_ipv4(const std::string& host) {
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& host) {
  const auto percent = host.find('%');
  in6_addr address{};
  return percent + 1 != host.size() && ::inet_pton(AF_INET6, host.substr(0, percent).c_str(), &address) == 1;
}

}  // namespace kubenatd::agent::api
