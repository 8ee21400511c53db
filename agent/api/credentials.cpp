#include "agent/api/credentials.h"

#include <algorithm>
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

void Credentials::refused() {
  const base::MutexLock lock(mutex_);
  next_look_ = {};
}

rules::Status Credentials::read() {
  const auto token = read_token();
  const auto tls = read_tls();  // also when the token cannot be read
  return token ? tls : token;
}

rules::Status Credentials::read_token() {
  std::string token = access_.token;
  std::string_view name = "token";
  if (!access_.token_file.empty()) {
    auto text = base::read_file(access_.token_file, kLargestToken, "read token");
    if (!text) return std::unexpected(text.error());
    token = base::trimmed(*text);
    name = access_.token_file;
    if (token.empty()) return rules::fail(access_.origin, base::one_line(name, 4096), "is empty");
  }
  // It becomes a part of a header.
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < '\x7f'; }))
    return rules::fail(access_.origin, base::one_line(name, 4096), "is no token: it has blanks or other characters");
  authorization_ = token.empty() ? std::string() : "Bearer " + token;
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
