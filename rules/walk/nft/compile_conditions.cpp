#include <fmt/format.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <bit>

#include "rules/walk/nft/compiler.h"
#include "rules/walk/nft/value_text.h"

/// Conditions of nft's language.
namespace kubenatd::rules::walk::nft {
namespace {

bool turns(const Place& place) {
  return info_of(place.type).host_order && std::endian::native == std::endian::little;
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

}  // namespace

void Compiler::condition(Condition condition) {
  loader_.learn(condition);
  add(std::move(condition));
}

void Compiler::match(const Clause& clause) {
  if (clause.terms.size() != 2) return unjudged(clause);
  const Term& right = clause.terms[1];
  const Load left = loader_.load(clause.terms[0], &right);
  const Part part = left.parts.empty() ? loader_.part_of(left.expression) : Part::kOther;
  if (!left.known || left.place.size == 0) return unjudged(clause, part);
  const bool negate = clause.operation == "!=";
  if (right.kind == Term::Kind::kSet || right.kind == Term::Kind::kSetName) return in_set(clause, left, right, negate);
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

void Compiler::in_set(const Clause& clause, Load left, const Term& right, bool negate) {
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
  add(InSet{Loader::key(left, reference->interval), reference->name, negate, part == Part::kOther ? Part::kSet : part});
}

void Compiler::object_map(const Clause& clause) {
  if (clause.terms.size() != 2) return unjudged(clause);
  const Load key = loader_.load(clause.terms[0]);
  const auto reference = loader_.set(clause.terms[1], key, false, {});
  if (!key.known || !reference) return unjudged(clause);
  add(InSet{Loader::key(key, reference->interval), reference->name, false, Part::kSet});
  if (!clause.name.starts_with("counter") && !clause.name.starts_with("ct")) unjudged(clause);
}

void Compiler::concatenation(const Clause& clause, const Load& left, const Term& right, bool negate) {
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

bool Compiler::bits_test(const Clause& clause, const Load& left, const Term& right, Part part) {
  if (!info_of(left.place.type).is_bits || clause.terms[0].kind == Term::Kind::kBinary) return false;
  const bool none = clause.operation == "!";
  if (!none && !clause.operation.empty() && clause.operation != "in") return false;
  const auto mask = read_value(right, left.place);
  if (!mask) return false;
  const Bytes zero = Bytes::filled(mask->size, 0);
  condition({make(Bits{left.expression, *mask, zero}), {{zero, zero}}, !none, part});
  return true;
}

void Compiler::bound(const Clause& clause, const Load& left, const Term& right, Part part) {
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

void Compiler::range(const Clause& clause, const Load& left, const Term& right, Part part) {
  const bool negate = clause.operation == "!=";
  const auto range = read_range(right, left.place, true);
  if (!range) return unjudged(clause, part);
  const auto& [first, last] = *range;
  if (turns(left.place) || left.place.type == Type::kHostInteger)
    return condition({Loader::key(left, true), {{first, last}}, negate, part});
  // The beginning of a name, or of an address by whole bytes, is compared alone.
  Bytes mask = first;
  for (std::size_t i = 0; i < mask.size; ++i) mask.data[i] = static_cast<std::uint8_t>(~(first.data[i] ^ last.data[i]));
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

}  // namespace kubenatd::rules::walk::nft
