#include "agent/api/credentials.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

constexpr std::size_t kLargestToken = 64U << 10;  // a header must hold it; the API server takes 1 MiB of headers
constexpr std::size_t kLargestPem = 4U << 20;

rules::Result<std::string> read_pem(const PemSource& source) {
  if (!source.text.empty() || source.file.empty()) return source.text;
  return base::read_file(source.file, kLargestPem, "read " + source.field);
}

std::string name_of(const PemSource& source) {
  return source.file.empty() || !source.text.empty() ? source.field
                                                     : source.field + " (" + base::one_line(source.file, 4096) + ")";
}

}  // namespace

rules::Result<std::shared_ptr<Credentials>> Credentials::open(ClusterAccess access, std::chrono::milliseconds period) {
  std::shared_ptr<Credentials> credentials(new Credentials(std::move(access), period));
  const base::MutexLock lock(credentials->mutex_);
  if (auto status = credentials->read(); !status) return std::unexpected(status.error());
  credentials->next_look_ = Clock::now() + period;
  return credentials;
}

Credentials::Current Credentials::current() {
  const base::MutexLock lock(mutex_);
  Current current;
  if (const auto now = Clock::now(); now >= next_look_) {
    next_look_ = now + period_;
    if (const auto status = read(); !status)
      current.problem = status.error().to_string() + "; what was good before stays in use";
  }
  current.authorization = authorization_;
  current.tls = tls_;
  return current;
}

std::string Credentials::describe() const {
  if (!access_.server.tls) return "none were sent, because the server's address is plain http";
  std::string shown;
  if (access_.server.user)
    shown = "the user in the server's address";
  else if (access_.password)
    shown = access_.password_field + " and password";
  else if (!access_.token.empty() || !access_.token_file.empty())
    shown = access_.token_file.empty()
                ? access_.token_field
                : fmt::format("{} ({})", access_.token_field, base::one_line(access_.token_file, 4096));
  if (access_.certificate.given()) shown += (shown.empty() ? "" : " and ") + name_of(access_.certificate);
  if (shown.empty()) return "none are given by " + access_.origin;
  return fmt::format("{} of {}", shown, access_.origin);
}

void Credentials::refused() {
  const base::MutexLock lock(mutex_);
  next_look_ = {};
}

rules::Status Credentials::read() {
  if (!access_.server.tls) return read_nothing();
  const auto token = read_token();
  const auto tls = read_tls();  // also when the token cannot be read
  return token ? tls : token;
}

rules::Status Credentials::read_nothing() {
  if (tls_) return {};
  // client-go opens the files even so; what it refuses at the start is told here, too.
  for (const PemSource* source : {&access_.authority, &access_.certificate, &access_.key}) {
    if (source->file.empty()) continue;
    if (::access(source->file.c_str(), R_OK) != 0)
      return rules::fail(base::one_line(source->file, 4096), "read " + source->field, std::strerror(errno), errno);
  }
  auto nothing = TlsMaterial::parse(access_.origin, {}, {}, {});
  if (!nothing) return std::unexpected(nothing.error());
  tls_ = std::move(*nothing);
  return {};
}

rules::Status Credentials::read_token() {
  std::string token = access_.token;
  std::string name = access_.token_field;
  if (!access_.token_file.empty()) {
    auto text = base::read_file(access_.token_file, kLargestToken, "read token");
    const std::string_view read = text ? base::trimmed(*text) : std::string_view();
    // As in client-go, a token that is written out stands in for a file that cannot be read.
    if (!read.empty()) {
      token = read;
      name = access_.token_file;
    } else if (token.empty()) {
      return text ? rules::fail(access_.origin, base::one_line(access_.token_file, 4096), "is empty")
                  : std::unexpected(text.error());
    }
  }
  // It becomes a part of a header: Go refuses the same.
  if (!std::all_of(token.begin(), token.end(),
                   [](char c) { return (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') || c == '\t'; }))
    return rules::fail(access_.origin, base::one_line(name, 4096), "is no token: it has control characters");
  authorization_ = token.empty() ? std::string() : "Bearer " + token;
  if (const auto& user = access_.server.user ? access_.server.user : access_.password) authorization_ = user->header();
  return {};
}

rules::Status Credentials::read_tls() {
  const auto authority = read_pem(access_.authority);
  const auto certificate = read_pem(access_.certificate);
  const auto key = read_pem(access_.key);
  for (const auto* one : {&authority, &certificate, &key})
    if (!*one) return std::unexpected(one->error());
  std::string pems = *authority + '\0' + *certificate + '\0' + *key;
  if (tls_ && pems == pems_) return {};
  auto parsed = TlsMaterial::parse(access_.origin, {*authority, name_of(access_.authority)},
                                   {*certificate, name_of(access_.certificate)}, {*key, name_of(access_.key)});
  if (!parsed) return std::unexpected(parsed.error());
  tls_ = std::move(*parsed);
  pems_ = std::move(pems);
  return {};
}

}  // namespace kubenatd::agent::api
