#include "agent/base/secrets.h"

#include <algorithm>
#include <array>
#include <optional>

#include "agent/base/base64.h"
#include "agent/base/printable.h"
#include "agent/base/query.h"

namespace kubenatd::agent::base {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_word(char c) {
  return is_lower(c) || is_upper(c) || is_digit(c);
}
/// Of base64, also as URLs have it.
bool is_base64(char c) {
  return is_word(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '=';
}
bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
char lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.size() >= word.size() && std::ranges::equal(text.substr(0, word.size()), word, {}, lower);
}

template <class Test>
std::size_t span_of(std::string_view text, Test test) {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, test) - text.begin());
}

/// What begins at a place of a text and is to be left out: how much of it stays, and how much goes.
struct Hit {
  std::size_t keep = 0;
  std::size_t leave_out = 0;
};
using Found = std::optional<Hit>;

/// "-----BEGIN ... -----END ...-----", or all that follows where the end is missing.
Found pem(std::string_view rest) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kEnd = "-----END ";
  constexpr std::string_view kDashes = "-----";
  if (!rest.starts_with(kBegin)) return std::nullopt;
  const std::size_t end = rest.find(kEnd);
  if (end == std::string_view::npos) return Hit{.leave_out = rest.size()};
  const std::size_t dashes = rest.find(kDashes, end + kEnd.size());
  return Hit{.leave_out = dashes == std::string_view::npos ? rest.size() : dashes + kDashes.size()};
}

/// "://user:password@": the last "@" before the path counts, as in Go's net/url.
Found user_of_url(std::string_view rest) {
  constexpr std::string_view kStart = "://";
  if (!rest.starts_with(kStart)) return std::nullopt;
  rest.remove_prefix(kStart.size());
  const std::size_t end = span_of(rest, [](char c) { return c > ' ' && c != '/' && c != '?' && c != '#' && c != '"'; });
  const std::size_t at = rest.substr(0, end).rfind('@');
  if (at == std::string_view::npos) return std::nullopt;
  return Hit{.keep = kStart.size(), .leave_out = at};
}

/// "Bearer TOKEN", "Basic TOKEN".
Found authorization(std::string_view rest) {
  constexpr std::size_t kShortestToken = 8;
  for (const std::string_view scheme : {std::string_view("bearer"), std::string_view("basic")}) {
    if (!starts_with_word(rest, scheme)) continue;
    const std::size_t blanks = span_of(rest.substr(scheme.size()), is_blank);
    const std::size_t start = scheme.size() + blanks;
    const std::size_t length = span_of(rest.substr(start), [](char c) { return is_base64(c) || c == '.' || c == '~'; });
    if (blanks > 0 && length >= kShortestToken) return Hit{.keep = start, .leave_out = length};
  }
  return std::nullopt;
}

/// A word that begins here, as a whole.
Found opaque_word(std::string_view rest) {
  const std::string_view word = rest.substr(0, span_of(rest, [](char c) { return is_base64(c) || c == '.'; }));
  constexpr std::string_view kJsonInBase64 = "eyJ";            // {"
  constexpr std::string_view kPemInBase64 = "LS0tLS1CRUdJTi";  // -----BEGIN
  constexpr std::size_t kJsonWebToken = 24;
  if (word.starts_with(kPemInBase64) || (word.starts_with(kJsonInBase64) && word.size() >= kJsonWebToken))
    return Hit{.leave_out = word.size()};
  // https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/: [a-z0-9]{6}.[a-z0-9]{16}
  constexpr std::size_t kTokenId = 6;
  constexpr std::size_t kTokenSecret = 16;
  const auto is_of_token = [](char c) { return is_lower(c) || is_digit(c); };
  if (word.size() == kTokenId + 1 + kTokenSecret && word[kTokenId] == '.' &&
      std::ranges::all_of(word.substr(0, kTokenId), is_of_token) &&
      std::ranges::all_of(word.substr(kTokenId + 1), is_of_token))
    return Hit{.leave_out = word.size()};
  // Longer than any name of a chain, shorter than any key; digests in hexadecimal digits have no upper case.
  constexpr std::size_t kLong = 40;
  const std::size_t length = span_of(word, is_base64);
  const std::string_view plain = word.substr(0, length);
  if (length >= kLong && std::ranges::any_of(plain, is_digit) && std::ranges::any_of(plain, is_lower) &&
      std::ranges::any_of(plain, is_upper))
    return Hit{.leave_out = length};
  return std::nullopt;
}

constexpr std::array<std::string_view, 16> kNames{"token",
                                                  "password",
                                                  "passwd",
                                                  "passphrase",
                                                  "secret",
                                                  "credential",
                                                  "credentials",
                                                  "client-key-data",
                                                  "apikey",
                                                  "privatekey",
                                                  "clientkey",
                                                  "accesskey",
                                                  "client-certificate-data",
                                                  "certificate-authority-data",
                                                  "authorization",
                                                  "cookie"};

/// A name that a secret stands behind, at its end: "token", "access_token", "BEARER-TOKEN"; the name's length.
std::size_t name_of_secret(std::string_view rest) {
  const std::size_t length = span_of(rest, [](char c) { return is_word(c) || c == '_' || c == '-'; });
  std::string name;
  for (const char c : rest.substr(0, length)) name += c == '_' ? '-' : lower(c);
  std::string joined = name;
  std::erase(joined, '-');
  const bool is_one =
      std::ranges::any_of(kNames, [&](std::string_view one) { return name.ends_with(one) || joined.ends_with(one); });
  return is_one ? length : 0;
}

/// token=VALUE, token: "VALUE", "token":"VALUE", and token: VALUE where nothing follows. "token: no such file" is a
/// message.
Found named_value(std::string_view rest) {
  std::size_t place = name_of_secret(rest);
  if (place == 0) return std::nullopt;
  const auto skip = [&](auto test) { place += span_of(rest.substr(place), test); };
  const auto is_quote = [](char c) { return c == '"' || c == '\'' || c == '\\'; };
  skip(is_quote);
  skip(is_blank);
  if (place >= rest.size() || (rest[place] != '=' && rest[place] != ':')) return std::nullopt;
  const bool joined = rest[place] == '=';
  ++place;
  skip(is_blank);
  const std::size_t quotes = span_of(rest.substr(place), is_quote);
  place += quotes;
  const std::string_view value = rest.substr(place);
  if (quotes > 0) {
    const char quote = rest[place - 1];
    std::size_t end = span_of(value, [&](char c) { return c != quote && c != '\n'; });
    // The backslash before the closing quote of a text in a text.
    while (end > 0 && value[end - 1] == '\\') --end;
    return end == 0 ? Found() : Hit{.keep = place, .leave_out = end};
  }
  const std::size_t length =
      span_of(value, [](char c) { return c > ' ' && c != ',' && c != '"' && c != '&' && c != '}'; });
  if (length == 0) return std::nullopt;
  const std::string_view behind = value.substr(length);
  const bool is_last = trimmed(behind.substr(0, behind.find('\n'))).empty() || !is_blank(behind.front());
  if (!joined && !is_last) return std::nullopt;
  return Hit{.keep = place, .leave_out = length};
}

void replace_all(std::string& text, std::string_view what) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + kLeftOut.size()))
    text.replace(at, what.size(), kLeftOut);
}

}  // namespace

std::string without_secret_forms(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  const auto is_of_name = [](char c) { return is_word(c) || c == '_' || c == '-'; };
  for (std::size_t place = 0; place < text.size();) {
    const std::string_view rest = text.substr(place);
    const char before = place == 0 ? ' ' : text[place - 1];
    Found hit;
    if (rest.front() == '-')
      hit = pem(rest);
    else if (rest.front() == ':')
      hit = user_of_url(rest);
    if (!hit && is_of_name(rest.front()) && !is_of_name(before)) {
      hit = authorization(rest);
      if (!hit) hit = named_value(rest);
    }
    if (!hit && is_base64(rest.front()) && !is_base64(before)) hit = opaque_word(rest);
    if (!hit) {
      result += rest.front();
      ++place;
      continue;
    }
    const bool is_out_already = rest.substr(hit->keep).starts_with(kLeftOut);
    result += rest.substr(0, hit->keep);
    result += kLeftOut;
    place += hit->keep + (is_out_already ? kLeftOut.size() : hit->leave_out);
  }
  return result;
}

void Secrets::add_one(std::string_view secret) {
  if (secret.size() >= kShortest && std::ranges::find(known_, secret) == known_.end()) known_.emplace_back(secret);
}

void Secrets::add(std::string_view secret) {
  for (std::size_t start = 0; start < secret.size();) {
    const std::size_t end = std::min(secret.find('\n', start), secret.size());
    const std::string_view line = trimmed(secret.substr(start, end - start));
    // "-----BEGIN CERTIFICATE-----" is no secret.
    if (!line.starts_with("-----")) {
      add_one(line);
      add_one(query_encoded(line));
      constexpr std::size_t kWidest = 8;  // of an escaped byte
      add_one(one_line(line, line.size() * kWidest));
      add_one(escaped(line, line.size() * kWidest));
    }
    start = end + 1;
  }
  if (trimmed(secret).size() < kShortest) return;
  add_one(encode_base64(secret));
  add_one(encode_base64(trimmed(secret)));
}

void Secrets::add_words(std::string_view text) {
  // Shorter than a token, longer than most names.
  constexpr std::size_t kShortestWord = 12;
  const auto add_between = [&](std::string_view separators) {
    for (std::size_t place = 0; place < text.size();) {
      const std::size_t end = std::min(text.find_first_of(separators, place), text.size());
      const std::string_view word = text.substr(place, end - place);
      if (word.size() >= kShortestWord && !word.ends_with(':')) add_one(word);
      place = end + 1;
    }
  };
  add_between(" \t\r\n");
  add_between(" \t\r\n\"',[]{}:=");  // brackets of YAML may stand around it or belong to it
}

void Secrets::add_user_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t start = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", start), url.size());
  const std::size_t at = url.substr(0, end).rfind('@');
  if (at == std::string_view::npos || at < start) return;
  const std::string_view user = url.substr(start, at - start);
  const std::size_t colon = user.find(':');
  if (scheme == std::string_view::npos && colon == std::string_view::npos) return;  // an address of mail
  add_one(user);
  if (colon != std::string_view::npos) add(user.substr(colon + 1));
  add_one(encode_base64(user));
}

std::string Secrets::without(std::string_view text) const {
  std::vector<std::string_view> longest_first(known_.begin(), known_.end());
  // One may be a part of another one.
  std::ranges::stable_sort(longest_first, std::ranges::greater(), &std::string_view::size);
  std::string result(text);
  for (const std::string_view secret : longest_first) replace_all(result, secret);
  return without_secret_forms(result);
}

}  // namespace kubenatd::agent::base
