#include "rules/digest.h"

#include <sys/auxv.h>
#include <sys/random.h>

#include "rules/siphash.h"

namespace kubenatd::rules {
namespace {

SipHash128::Key make_key() {
  SipHash128::Key key{};
  if (getrandom(key.data(), sizeof key, 0) == static_cast<ssize_t>(sizeof key)) return key;
  // A sandbox may forbid getrandom; the kernel hands every process 16 random bytes at its start, too.
  if (const auto* given = reinterpret_cast<const void*>(getauxval(AT_RANDOM)); given != nullptr)
    std::memcpy(key.data(), given, sizeof key);
  return key;
}

const SipHash128::Key& process_key() {
  static const SipHash128::Key key = make_key();
  return key;
}

// The byte form of a rule. Every field is preceded by a byte that says whether (or which kind) it is, and everything
// of no fixed size by its length, so that two different rules never have the same bytes.

void feed(SipHash128& hash, bool value) {
  hash.add(static_cast<std::uint8_t>(value));
}

void feed(SipHash128& hash, const Address& address) {
  hash.add(static_cast<std::uint8_t>(address.family));
  hash.add(address.octets());
}

void feed(SipHash128& hash, const std::optional<AddressMatch>& match) {
  feed(hash, match.has_value());
  if (!match) return;
  feed(hash, match->prefix.address);
  hash.add(match->prefix.length);
  feed(hash, match->negate);
}

void feed(SipHash128& hash, const std::optional<InterfaceMatch>& match) {
  feed(hash, match.has_value());
  if (!match) return;
  hash.add_text(match->name);
  feed(hash, match->prefix);
  feed(hash, match->negate);
}

/// One overload for each kind of match and target.
struct Feed {
  SipHash128& hash;

  void operator()(const CommentMatch& match) const { hash.add_text(match.text); }
  void operator()(const PortMatch& match) const {
    hash.add(static_cast<std::uint8_t>(match.protocol));
    feed(hash, match.destination.has_value());
    hash.add(match.destination.value_or(0));
  }
  void operator()(const MarkMatch& match) const {
    hash.add(match.value);
    hash.add(match.mask);
    feed(hash, match.negate);
  }
  void operator()(const ConntrackMatch& match) const {
    hash.add(match.states);
    feed(hash, match.negate);
  }
  void operator()(const AddrTypeMatch& match) const {
    feed(hash, match.source_local);
    feed(hash, match.destination_local);
  }
  void operator()(const StatisticMatch& match) const { hash.add(match.probability); }
  void operator()(const RecentMatch& match) const {
    hash.add_text(match.name);
    hash.add(static_cast<std::uint8_t>(match.action));
    hash.add(match.seconds);
    feed(hash, match.reap);
  }
  void operator()(const NfacctMatch& match) const { hash.add_text(match.name); }
  void operator()(const MultiportMatch& match) const {
    hash.add(static_cast<std::uint64_t>(match.destinations.size()));
    for (const std::uint16_t port : match.destinations) hash.add(port);
  }

  void operator()(const NoTarget&) const {}
  void operator()(const Verdict& verdict) const { hash.add(static_cast<std::uint8_t>(verdict)); }
  void operator()(const Jump& jump) const {
    hash.add_text(jump.chain);
    feed(hash, jump.is_goto);
  }
  void operator()(const MarkTarget& target) const {
    hash.add(target.value);
    hash.add(target.mask);
  }
  void operator()(const MasqueradeTarget& target) const { feed(hash, target.random_fully); }
  void operator()(const DnatTarget& target) const {
    feed(hash, target.address);
    hash.add(target.port);
  }
  void operator()(const RejectTarget&) const {}
};

}  // namespace

Digest digest_of(const Rule& rule) {
  SipHash128 hash(process_key());
  hash.add_text(rule.opaque);
  feed(hash, rule.source);
  feed(hash, rule.destination);
  feed(hash, rule.in_interface);
  feed(hash, rule.out_interface);
  // 0 is no transport protocol of the model.
  hash.add(rule.protocol ? static_cast<std::uint8_t>(*rule.protocol) : std::uint8_t{0});
  hash.add(static_cast<std::uint64_t>(rule.matches.size()));
  for (const Match& match : rule.matches) {
    hash.add(static_cast<std::uint8_t>(match.index()));
    std::visit(Feed{hash}, match);
  }
  hash.add(static_cast<std::uint8_t>(rule.target.index()));
  std::visit(Feed{hash}, rule.target);
  return Digest{hash.finish()};
}

void ListDigest::add(const Digest& rule) {
  SipHash128 hash(process_key());
  for (const std::uint64_t word : state_.words) hash.add(word);
  for (const std::uint64_t word : rule.words) hash.add(word);
  state_.words = hash.finish();
}

Digest digest_of(std::span<const Rule> rules) {
  ListDigest list;
  for (const Rule& rule : rules) list.add(digest_of(rule));
  return list.value();
}

}  // namespace kubenatd::rules
