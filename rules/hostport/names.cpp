// As in rules/iptables/names.cpp: the plain functions cannot fail.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "rules/hostport/names.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "rules/hostport/compiler.h"

namespace kubenatd::rules::hostport {
namespace {

constexpr std::size_t kChainLength = 28;
constexpr std::size_t kLongestId = 200;
constexpr std::size_t kIdHash = 16;

/// The first `digits` hexadecimal digits of SHA-512(first + second).
std::string hash_digits(std::string_view first, std::string_view second, std::size_t digits) {
  SHA512_CTX context;
  SHA512_Init(&context);
  SHA512_Update(&context, first.data(), first.size());
  SHA512_Update(&context, second.data(), second.size());
  std::array<unsigned char, SHA512_DIGEST_LENGTH> digest;
  SHA512_Final(digest.data(), &context);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < digits; ++i) text += kDigits[i % 2 == 0 ? digest[i / 2] >> 4U : digest[i / 2] & 15U];
  return text;
}

}  // namespace

ChainName container_chain(std::string_view network, std::string_view container_id) {
  return ChainName(std::string(kContainerPrefix) +
                   hash_digits(network, container_id, kChainLength - kContainerPrefix.size()));
}

std::string container_id(std::string_view ns, std::string_view name) {
  std::string id = fmt::format("{}/{}", ns, name);
  if (id.size() <= kLongestId) return id;
  const std::string hash = hash_digits(id, {}, kIdHash);
  id.resize(kLongestId - kIdHash - 1);
  return id + "~" + hash;
}

std::string entry_comment(std::string_view network, std::string_view container_id) {
  return fmt::format("dnat name: \"{}\" id: \"{}\"", network, container_id);
}

bool is_shared_chain(Table table, std::string_view chain) {
  return table == Table::kNat && (chain == kDnatChain || chain == kMarkChain || chain == kMasqueradeChain);
}

bool is_container_chain(Table table, std::string_view chain) {
  return table == Table::kNat && chain.starts_with(kContainerPrefix) && ChainName::from(chain).has_value();
}

std::optional<std::string> own_entry(const Rule& rule) {
  const std::string_view comment = comment_of(rule);
  const std::string whole = entry_comment(kNetwork, {});
  const std::string_view begin = std::string_view(whole).substr(0, whole.size() - 1);
  if (!comment.starts_with(begin) || !comment.ends_with('"') || comment.size() <= begin.size()) return std::nullopt;
  std::string id(comment.substr(begin.size(), comment.size() - begin.size() - 1));
  if (container_chain(kNetwork, id).view() != jump_target(rule)) return std::nullopt;
  return id;
}

bool is_own_rule(std::string_view chain, const Rule& rule) {
  if (chain == kDnatChain) return own_entry(rule).has_value();
  return std::ranges::any_of(compile_shared(), [&](const ChainRules& shared) {
    return shared.id.name.view() == chain && std::ranges::find(shared.rules, rule) != shared.rules.end();
  });
}

}  // namespace kubenatd::rules::hostport
