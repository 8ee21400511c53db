#include "rules/walk/nft/compile.h"

#include <fmt/format.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <bit>

#include "rules/walk/nft/compiler.h"
#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::uint8_t kTcp = 6;

std::uint64_t bytes_in(std::string_view unit) {
  if (unit == "kbytes") return 1024;
  if (unit == "mbytes") return std::uint64_t{1024} * 1024;
  return 1;
}

}  // namespace

std::vector<Statement> Compiler::rule(const std::vector<Clause>& clauses) {
  for (std::size_t i = 0; i < clauses.size() && !ended_; ++i) clause(clauses[i], i + 1 == clauses.size());
  return std::move(statements_);
}

void Compiler::clause(const Clause& clause, bool is_last) {
  using Kind = Clause::Kind;
  switch (clause.kind) {
    case Kind::kMatch: return match(clause);
    case Kind::kVerdict:
      add(clause.verdict);
      ended_ = clause.verdict.verdict != Verdict::kContinue;
      return;
    case Kind::kVerdictMap: return verdict_map(clause);
    case Kind::kChange: return change(clause);
    case Kind::kNat: return nat(clause);
    case Kind::kReject: return reject(clause);
    case Kind::kTproxy: return tproxy(clause);
    case Kind::kNoTrack: return add(NoTrack{});
    case Kind::kSynproxy: {
      // It answers the SYN itself; other protocols leave the rule (nft_synproxy_do_eval).
      const Bytes tcp = Bytes::network(kTcp, 1);
      condition({make(Meta{NFT_META_L4PROTO}), {{tcp, tcp}}, false, Part::kProtocol});
      return end(ToVerdict{Verdict::kStolen, {}});
    }
    case Kind::kStolen: return end(ToVerdict{Verdict::kStolen, {}});
    case Kind::kUpdate: return update(clause);
    case Kind::kNoEffect: return add(NoEffect{clause.text});
    case Kind::kNever: return add(Never{clause.text, Part::kState});
    case Kind::kObjectMap: return object_map(clause);
    case Kind::kCounter: return;
    case Kind::kUnjudged: return unjudged(clause);
    case Kind::kNotKnown:
      // Behind a verdict nft allows nothing: what others follow is none.
      if (is_last) return add(OtherTarget{clause.text});
      return unjudged(clause);
  }
}

void Compiler::verdict_map(const Clause& clause) {
  if (clause.terms.size() != 2) return unjudged(clause);
  const Load key = loader_.load(clause.terms[0], &clause.terms[1]);
  const auto reference = loader_.set(clause.terms[1], key, true, {});
  if (!reference) return add(OtherTarget{clause.text});
  add(VerdictMap{Loader::key(key, reference->interval), reference->name});
}

void Compiler::change(const Clause& clause) {
  if (clause.terms.size() != 2) return unjudged(clause);
  const Term& left = clause.terms[0];
  const Term& right = clause.terms[1];
  switch (left.kind) {
    case Term::Kind::kMeta: {
      const Key* key = key_named(meta_keys(), left.name);
      if (key == nullptr) return add(NoEffect{clause.text});
      return add(SetMeta{key->number, loader_.value(right, {key->type, key->size, 0})});
    }
    case Term::Kind::kCt: {
      const Key* key = key_named(ct_keys(), left.name);
      if (key == nullptr) return add(NoEffect{clause.text});
      return add(SetCt{key->number, loader_.value(right, {key->type, key->size, 0})});
    }
    case Term::Kind::kPayload:
    case Term::Kind::kRawPayload: return change_payload(clause);
    // Options are written for others to read.
    default: return add(NoEffect{clause.text});
  }
}

void Compiler::change_payload(const Clause& clause) {
  const Load left = loader_.load(clause.terms[0]);
  const auto* payload = std::get_if<Payload>(&left.expression->what);
  const auto* bits = std::get_if<Bits>(&left.expression->what);
  if (bits != nullptr) payload = std::get_if<Payload>(&bits->of->what);
  if (payload == nullptr) return add(OtherTarget{clause.text});
  Payload where = *payload;
  const auto value = read_value(clause.terms[1], left.place);
  // Checksums are of pairs of bytes.
  const bool has_checksum = where.base == Payload::Base::kTransport ||
                            (where.base == Payload::Base::kNetwork && loader_.network() == std::optional(Header::kIp));
  const bool widen = has_checksum && where.size % 2 != 0;
  if (bits == nullptr && !widen) return add(SetPayload{where, loader_.value(clause.terms[1], left.place)});
  if (!value) return add(SetPayload{where, make(Unread{clause.text, where.size})});
  Bytes mask = bits != nullptr ? bits->mask : Bytes::filled(where.size, 0xff);
  Bytes flip = *value;
  if (widen) {
    const bool before = where.offset % 2 != 0;
    Bytes wide_mask = Bytes::filled(before ? 1 : 0, 0);
    wide_mask.append(mask);
    Bytes wide_flip = Bytes::filled(before ? 1 : 0, 0);
    wide_flip.append(flip);
    if (before) {
      where.offset = static_cast<std::uint16_t>(where.offset - 1);
    } else {
      wide_mask.append(Bytes::filled(1, 0));
      wide_flip.append(Bytes::filled(1, 0));
    }
    where.size = static_cast<std::uint16_t>(where.size + 1);
    mask = wide_mask;
    flip = wide_flip;
  }
  add(SetPayload{where, make(Bits{make(where), inverse(mask), flip})});
}

void Compiler::update(const Clause& clause) {
  if (clause.terms.empty()) return unjudged(clause);
  const Load key = loader_.load(clause.terms[0]);
  if (clause.operation == "delete") return add(NoEffect{"delete @" + clause.name});
  const auto set = table_.sets.find(clause.name);
  const bool interval = set != table_.sets.end() && set->second.interval;
  // Whatever its flags say, packets make elements in it.
  if (set != table_.sets.end()) set->second.dynamic = true;
  add(UpdateSet{clause.name, Loader::key(key, interval), clause.detail});
}

std::string text_of(const Limit& limit) {
  const std::uint64_t rate = limit.rate * bytes_in(limit.unit);
  const std::uint64_t burst = limit.burst * bytes_in(limit.burst_unit);
  const bool bytes = !limit.unit.empty() && limit.unit != "packets";
  std::string text =
      fmt::format("limit rate {}{}{}/{}", limit.over ? "over " : "", rate, bytes ? " bytes" : "", limit.per);
  if (burst != 0) text += fmt::format(" burst {} {}", burst, bytes ? "bytes" : "packets");
  return text;
}

std::string text_of(const Quota& quota) {
  return fmt::format("quota {}{} bytes", quota.over ? "over " : "", quota.count * bytes_in(quota.unit));
}

std::vector<Statement> compile_rule(WalkTable& table, const std::vector<Clause>& clauses) {
  return Compiler(table).rule(clauses);
}

}  // namespace kubenatd::rules::walk::nft
