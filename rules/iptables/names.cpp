// The one-shot SHA256() of OpenSSL 3.0 looks its algorithm up in the providers on every call, which costs several times
// the hash itself, and can fail; the plain functions do neither. 10 000 services need 50 000 names at start-up.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "rules/iptables/names.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace kubenatd::rules::iptables {
namespace {

constexpr std::size_t kHashCharacters = 16;
constexpr std::size_t kHashBytes = kHashCharacters * 5 / 8;  // base32: five bits a character

using HashText = std::array<char, kHashCharacters>;

/// First 16 characters of base32(SHA-256(all parts in a row)).
HashText hash_parts(std::initializer_list<std::string_view> parts) {
  SHA256_CTX context;
  SHA256_Init(&context);
  for (const std::string_view part : parts) SHA256_Update(&context, part.data(), part.size());
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256_Final(digest.data(), &context);

  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  HashText text;
  static_assert(kHashBytes % 5 == 0);
  for (std::size_t group = 0; group < kHashBytes / 5; ++group) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 5; ++i) bits = bits << 8 | digest[group * 5 + i];
    for (std::size_t i = 0; i < 8; ++i) text[group * 8 + i] = kAlphabet[bits >> (35 - 5 * i) & 31];
  }
  return text;
}

ChainName with_prefix(std::string_view prefix, const HashText& hash) {
  std::array<char, ChainName::kCapacity> text;
  const auto end = std::copy(prefix.begin(), prefix.end(), text.begin());
  const auto stop = std::copy(hash.begin(), hash.end(), end);
  return ChainName({text.data(), static_cast<std::size_t>(stop - text.begin())});
}

}  // namespace

std::string hash16(std::string_view text) {
  const HashText hash = hash_parts({text});
  return {hash.begin(), hash.end()};
}

ServicePortNames::ServicePortNames(const ServicePortView& view) : ServicePortNames(view.name, view.protocol) {}

ServicePortNames::ServicePortNames(std::string_view service_port_name, Protocol protocol) {
  const HashText hash = hash_parts({service_port_name, name_of(protocol)});
  cluster = with_prefix("KUBE-SVC-", hash);
  local = with_prefix("KUBE-SVL-", hash);
  external = with_prefix("KUBE-EXT-", hash);
  firewall = with_prefix("KUBE-FW-", hash);
}

ChainName endpoint_chain(std::string_view service_port_name, Protocol protocol, const Endpoint& endpoint) {
  std::array<char, kHostPortCapacity> buffer;
  return endpoint_chain(service_port_name, protocol, join_host_port(endpoint.address, endpoint.port, buffer));
}

ChainName endpoint_chain(std::string_view service_port_name, Protocol protocol, std::string_view endpoint) {
  return with_prefix("KUBE-SEP-", hash_parts({service_port_name, name_of(protocol), endpoint}));
}

}  // namespace kubenatd::rules::iptables
