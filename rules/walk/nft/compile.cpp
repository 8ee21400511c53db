#include "rules/walk/nft/compile.h"

#include <fmt/format.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <bit>

#include "rules/walk/nft/loader.h"
#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::uint8_t kTcp = 6;
constexpr Place kPort{Type::kPort, 2, 0};

Place address_place(bool six) {
  return six ? Place{Type::kAddress6, 16, 0} : Place{Type::kAddress4, 4, 0};
}

bool turns(const Place& place) {
  return info_of(place.type).host_order && std::endian::native == std::endian::little;
}

bool has(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

/// One more or one less; false when there is none.
bool step(Bytes& bytes, bool up) {
  for (std::size_t i = bytes.size; i-- > 0;) {
    std::uint8_t& byte = bytes.data[i];
    byte = static_cast<std::uint8_t>(up ? byte + 1 : byte - 1);
    if (byte != (up ? 0 : 0xff)) return true;
  }
  return false;
}

std::uint64_t bytes_in(std::string_view unit) {
  if (unit == "kbytes") return 1024;
  if (unit == "mbytes") return std::uint64_t{1024} * 1024;
  return 1;
}

class Compiler {
 public:
  explicit Compiler(WalkTable& table) : table_(table), loader_(table, statements_) {}

  std::vector<Statement> rule(const std::vector<Clause>& clauses) {
    for (std::size_t i = 0; i < clauses.size() && !ended_; ++i) clause(clauses[i], i + 1 == clauses.size());
    return std::move(statements_);
  }

 private:
  template <class What>
  void add(What what) {
    statements_.emplace_back(std::move(what));
  }
  void unjudged(const Clause& clause, Part part = Part::kOther) { add(Unjudged{clause.text, part}); }
  /// The kernel goes no further.
  void end(Statement statement) {
    statements_.push_back(std::move(statement));
    ended_ = true;
  }

  void clause(const Clause& clause, bool is_last) {
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

  void condition(Condition condition) {
    loader_.learn(condition);
    add(std::move(condition));
  }

  // Conditions.

  void match(const Clause& clause) {
    if (clause.terms.size() != 2) return unjudged(clause);
    const Term& right = clause.terms[1];
    const Load left = loader_.load(clause.terms[0], &right);
    const Part part = left.parts.empty() ? loader_.part_of(left.expression) : Part::kOther;
    if (!left.known || left.place.size == 0) return unjudged(clause, part);
    const bool negate = clause.operation == "!=";
    if (right.kind == Term::Kind::kSet || right.kind == Term::Kind::kSetName)
      return in_set(clause, left, right, negate);
    if (!left.parts.empty()) return concatenation(clause, left, right, negate);
    if (bits_test(clause, left, right, part)) return;
    if (clause.operation == "<" || clause.operation == ">" || clause.operation == "<=" || clause.operation == ">=")
      return bound(clause, left, right, part);
    if (!clause.operation.empty() && clause.operation != "==" && clause.operation != "!=" && clause.operation != "in")
      return unjudged(clause, part);
    if (is_range(right, left.place)) return range(clause, left, right, part);
    const auto value = read_value(right, left.place);
    if (!value) return unjudged(clause, part);
    condition({left.expression, {{*value, *value}}, negate, part});
  }

  void in_set(const Clause& clause, Load left, const Term& right, bool negate) {
    if (right.kind == Term::Kind::kSetName && left.place.shift != 0) {
      // In a set that has a name, a field of a few bits is a number.
      if (left.place.size != 1) return unjudged(clause, Part::kSet);
      left.expression = make(Shift{left.expression, false, left.place.shift});
    }
    const auto reference = loader_.set(right, left, false, {});
    if (!reference) return unjudged(clause, Part::kSet);
    // A set that stands in the rule itself is as good as a list of values.
    Part part = Part::kSet;
    if (right.kind == Term::Kind::kSet && left.parts.empty()) part = loader_.part_of(left.expression);
    add(InSet{Loader::key(left, reference->interval), reference->name, negate,
              part == Part::kOther ? Part::kSet : part});
  }

  /// A key that the map does not have ends the rule (nft_objref_map_eval).
  void object_map(const Clause& clause) {
    if (clause.terms.size() != 2) return unjudged(clause);
    const Load key = loader_.load(clause.terms[0]);
    const auto reference = loader_.set(clause.terms[1], key, false, {});
    if (!key.known || !reference) return unjudged(clause);
    add(InSet{Loader::key(key, reference->interval), reference->name, false, Part::kSet});
    if (!clause.name.starts_with("counter") && !clause.name.starts_with("ct")) unjudged(clause);
  }

  void concatenation(const Clause& clause, const Load& left, const Term& right, bool negate) {
    if (right.kind != Term::Kind::kConcat || right.parts.size() != left.parts.size()) return unjudged(clause);
    Bytes value;
    for (std::size_t i = 0; i < right.parts.size(); ++i) {
      const auto part = read_value(right.parts[i], left.parts[i].place);
      if (!part) return unjudged(clause);
      value.append(*part);
      value.append(Bytes::filled(filled_up(part->size) - part->size, 0));
    }
    condition({left.expression, {{value, value}}, negate, Part::kOther});
  }

  /// "ct state new,established", "tcp flags ! syn": whether one of the bits is there.
  bool bits_test(const Clause& clause, const Load& left, const Term& right, Part part) {
    if (!info_of(left.place.type).is_bits || clause.terms[0].kind == Term::Kind::kBinary) return false;
    const bool none = clause.operation == "!";
    if (!none && !clause.operation.empty() && clause.operation != "in") return false;
    const auto mask = read_value(right, left.place);
    if (!mask) return false;
    const Bytes zero = Bytes::filled(mask->size, 0);
    condition({make(Bits{left.expression, *mask, zero}), {{zero, zero}}, !none, part});
    return true;
  }

  void bound(const Clause& clause, const Load& left, const Term& right, Part part) {
    const auto value = read_value(right, left.place);
    if (!value) return unjudged(clause, part);
    Bytes limit = turns(left.place) ? turned(*value) : *value;
    const Bytes least = Bytes::filled(limit.size, 0);
    const Bytes most = Bytes::filled(limit.size, 0xff);
    Condition made{Loader::key(left, true), {}, false, part};
    const bool up = clause.operation.front() == '>';
    // Without a value that is larger, nothing fits.
    if (clause.operation.size() == 2 || step(limit, up))
      made.ranges = {up ? std::pair{limit, most} : std::pair{least, limit}};
    condition(std::move(made));
  }

  void range(const Clause& clause, const Load& left, const Term& right, Part part) {
    const bool negate = clause.operation == "!=";
    const auto range = read_range(right, left.place, true);
    if (!range) return unjudged(clause, part);
    const auto& [first, last] = *range;
    if (turns(left.place) || left.place.type == Type::kHostInteger)
      return condition({Loader::key(left, true), {{first, last}}, negate, part});
    // The beginning of a name, or of an address by whole bytes, is compared alone.
    Bytes mask = first;
    for (std::size_t i = 0; i < mask.size; ++i)
      mask.data[i] = static_cast<std::uint8_t>(~(first.data[i] ^ last.data[i]));
    const auto length = prefix_length(mask);
    const bool is_prefix = length && left.place.shift == 0 &&
                           (left.place.type == Type::kInterface || left.place.type == Type::kString ||
                            right.kind == Term::Kind::kPrefix || right.text.find('/') != std::string::npos);
    if (!is_prefix) return condition({left.expression, {{first, last}}, negate, part});
    const std::size_t bytes = *length / 8;
    if (*length % 8 != 0 || bytes == 0) {
      const Bytes zero = Bytes::filled(first.size, 0);
      return condition({make(Bits{left.expression, mask, zero}), {{first, first}}, negate, part});
    }
    ExpressionPtr beginning = left.expression;
    if (bytes != left.place.size) {
      if (const auto* payload = std::get_if<Payload>(&beginning->what)) {
        beginning = make(Payload{payload->base, payload->offset, static_cast<std::uint16_t>(bytes)});
      } else {
        beginning = make(Slice{beginning, 0, static_cast<std::uint16_t>(bytes)});
      }
    }
    const Bytes value = first.slice(0, bytes);
    condition({std::move(beginning), {{value, value}}, negate, part});
  }

  // Verdicts out of maps, changes.

  void verdict_map(const Clause& clause) {
    if (clause.terms.size() != 2) return unjudged(clause);
    const Load key = loader_.load(clause.terms[0], &clause.terms[1]);
    const auto reference = loader_.set(clause.terms[1], key, true, {});
    if (!reference) return add(OtherTarget{clause.text});
    add(VerdictMap{Loader::key(key, reference->interval), reference->name});
  }

  void change(const Clause& clause) {
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

  void change_payload(const Clause& clause) {
    const Load left = loader_.load(clause.terms[0]);
    const auto* payload = std::get_if<Payload>(&left.expression->what);
    const auto* bits = std::get_if<Bits>(&left.expression->what);
    if (bits != nullptr) payload = std::get_if<Payload>(&bits->of->what);
    if (payload == nullptr) return add(OtherTarget{clause.text});
    Payload where = *payload;
    const auto value = read_value(clause.terms[1], left.place);
    // Checksums are of pairs of bytes.
    const bool has_checksum =
        where.base == Payload::Base::kTransport ||
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
    for (std::size_t i = 0; i < mask.size; ++i) mask.data[i] = static_cast<std::uint8_t>(~mask.data[i]);
    add(SetPayload{where, make(Bits{make(where), mask, flip})});
  }

  void update(const Clause& clause) {
    if (clause.terms.empty()) return unjudged(clause);
    const Load key = loader_.load(clause.terms[0]);
    if (clause.operation == "delete") return add(NoEffect{"delete @" + clause.name});
    const auto set = table_.sets.find(clause.name);
    const bool interval = set != table_.sets.end() && set->second.interval;
    // Whatever its flags say, packets make elements in it.
    if (set != table_.sets.end()) set->second.dynamic = true;
    add(UpdateSet{clause.name, Loader::key(key, interval), clause.detail});
  }

  // Translation.

  [[nodiscard]] bool is_six(const Clause& clause) const {
    if (clause.family == "ip") return false;
    if (clause.family == "ip6") return true;
    if (!clause.address.empty()) {
      const Term* term = &clause.address.front();
      while (!term->parts.empty() && (term->kind == Term::Kind::kRange || term->kind == Term::Kind::kPrefix))
        term = &term->parts.front();
      if (term->kind == Term::Kind::kSymbol) return term->text.find(':') != std::string::npos;
    }
    return loader_.network() == std::optional(Header::kIp6);
  }

  void nat(const Clause& clause) {
    Nat nat;
    if (clause.name == "dnat") {
      nat.kind = Nat::Kind::kDestination;
    } else if (clause.name == "snat") {
      nat.kind = Nat::Kind::kSource;
    } else if (clause.name == "masquerade") {
      nat.kind = Nat::Kind::kMasquerade;
    } else {
      nat.kind = Nat::Kind::kRedirect;
    }
    nat.random = has(clause.flags, "random") || has(clause.flags, "fully-random");
    nat.persistent = has(clause.flags, "persistent");
    nat.netmap = has(clause.flags, "netmap") || has(clause.flags, "prefix");
    const bool six = is_six(clause);
    const bool of_one_family = nat.kind == Nat::Kind::kDestination || nat.kind == Nat::Kind::kSource;
    if (!clause.address.empty()) address(clause, nat, six);
    if (!clause.port.empty()) port(clause.port.front(), nat.port, nat.last_port);
    // In a table of both families it is for packets of its own only (nft_nat_inet_eval).
    if (of_one_family) loader_.need_network(six ? Header::kIp6 : Header::kIp);
    end(std::move(nat));
  }

  void address(const Clause& clause, Nat& nat, bool six) {
    const Term& term = clause.address.front();
    const Place place = address_place(six);
    if (term.kind == Term::Kind::kMap) return address_from_map(term, nat, place);
    if (is_range(term, place)) {
      const auto range = read_range(term, place, false);
      nat.address = range ? make(Constant{range->first}) : make(Unread{clause.text, place.size});
      if (range) nat.last_address = make(Constant{range->second});
      return;
    }
    nat.address = loader_.value(term, place);
  }

  void address_from_map(const Term& term, Nat& nat, const Place& place) {
    // What the map has is told by its elements: an address, or an address and a port.
    std::vector<Place> data{place};
    if (term.parts.size() == 2 && term.parts[1].kind == Term::Kind::kSet) {
      for (const Term& element : term.parts[1].parts)
        if (element.parts.size() > 1 && element.parts[1].kind == Term::Kind::kConcat) {
          data.push_back(kPort);
          break;
        }
    }
    const ExpressionPtr found = loader_.look_up(term, data);
    const auto* map = std::get_if<MapLookup>(&found->what);
    if (map == nullptr) {
      nat.address = found;
      return;
    }
    const auto slice = [&](std::size_t offset, std::uint16_t size) {
      return make(Slice{found, static_cast<std::uint16_t>(offset), size});
    };
    const std::size_t with_port = place.size + filled_up(kPort.size);
    const WalkSet* set = table_.set(map->map);
    const bool has_port = set != nullptr && set->data_type.find(" . ") != std::string::npos;
    if (map->size == place.size) {
      nat.address = found;
    } else if (map->size == with_port && has_port) {
      nat.address = slice(0, place.size);
      nat.port = slice(place.size, kPort.size);
    } else if (map->size == 2 * place.size && !has_port) {
      nat.address = slice(0, place.size);
      nat.last_address = slice(place.size, place.size);
    } else if (map->size == 2 * with_port) {
      nat.address = slice(0, place.size);
      nat.port = slice(place.size, kPort.size);
      nat.last_address = slice(with_port, place.size);
      nat.last_port = slice(with_port + place.size, kPort.size);
    } else {
      nat.address = make(Unread{term.text, place.size});
      nat.port = make(Unread{term.text, kPort.size});
    }
  }

  void port(const Term& term, ExpressionPtr& first, ExpressionPtr& last) {
    if (is_range(term, kPort)) {
      const auto range = read_range(term, kPort, false);
      first = range ? make(Constant{range->first}) : make(Unread{term.text, kPort.size});
      if (range) last = make(Constant{range->second});
      return;
    }
    first = loader_.value(term, kPort);
    const auto* map = std::get_if<MapLookup>(&first->what);
    if (map != nullptr && map->size == 2 * kPort.size) {
      const ExpressionPtr found = first;
      first = make(Slice{found, 0, kPort.size});
      last = make(Slice{found, kPort.size, kPort.size});
    }
  }

  void tproxy(const Clause& clause) {
    Tproxy tproxy;
    const bool six = is_six(clause);
    if (!clause.address.empty()) tproxy.address = loader_.value(clause.address.front(), address_place(six));
    ExpressionPtr last;
    if (!clause.port.empty()) port(clause.port.front(), tproxy.port, last);
    // nft 1.0.6 does not print what comes out of a map.
    if (!tproxy.address && !tproxy.port) tproxy.port = make(Unread{clause.text, kPort.size});
    if (tproxy.address || !clause.family.empty()) loader_.need_network(six ? Header::kIp6 : Header::kIp);
    add(std::move(tproxy));
  }

  void reject(const Clause& clause) {
    if (clause.name == "tcp reset") {
      loader_.need_transport(kTcp);
      return end(Refuse{"tcp-reset"});
    }
    std::string_view family = clause.name;
    std::string code = clause.terms.empty() ? "port-unreachable" : clause.terms.front().text;
    if (family.empty()) {
      family = "icmpx";
      if (loader_.network() == std::optional(Header::kIp)) family = "icmp";
      if (loader_.network() == std::optional(Header::kIp6)) family = "icmpv6";
    }
    if (family == "icmp") loader_.need_network(Header::kIp);
    if (family == "icmpv6") loader_.need_network(Header::kIp6);
    const auto number = read_number(code);
    for (const Answer& answer : answers())
      if (answer.family == family && (answer.code_name == code || (number && answer.code == *number)))
        return end(Refuse{std::string(answer.name)});
    end(Refuse{fmt::format("{} code {}", family == "icmpv6" ? "icmp6" : family, code)});
  }

  WalkTable& table_;
  std::vector<Statement> statements_;
  Loader loader_;
  bool ended_ = false;
};

}  // namespace

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
