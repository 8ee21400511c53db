#include "rules/walk/evaluate.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "rules/walk/fields.h"
#include "rules/walk/headers.h"

namespace kubenatd::rules::walk {
namespace {

constexpr std::size_t kMostSteps = 10'000;
constexpr std::size_t kMostStepsOfRule = 4'000'000;

template <class... Parts>
struct Overloaded : Parts... {
  using Parts::operator()...;
};
template <class... Parts>
Overloaded(Parts...) -> Overloaded<Parts...>;

/// Cut, or filled up with zeros that are known.
void resize(Value& value, std::size_t size) {
  size = std::min(size, Bytes::kCapacity);
  for (std::size_t i = value.bits.size; i < size; ++i) {
    value.bits.data[i] = 0;
    value.known.data[i] = 0xff;
  }
  for (std::size_t i = size; i < value.bits.size; ++i) value.bits.data[i] = value.known.data[i] = 0;
  value.bits.size = value.known.size = static_cast<std::uint8_t>(size);
}

[[nodiscard]] Value bits_of_two(Value one, Value other, BitsOfTwo::Operation operation) {
  const std::size_t size = std::max(one.bits.size, other.bits.size);
  resize(one, size);
  resize(other, size);
  for (std::size_t i = 0; i < size; ++i) {
    const unsigned a = one.bits.data[i], b = other.bits.data[i];
    const unsigned known_a = one.known.data[i], known_b = other.known.data[i];
    unsigned known = known_a & known_b;
    unsigned result = a ^ b;
    if (operation == BitsOfTwo::Operation::kAnd) {
      known |= (known_a & ~a) | (known_b & ~b);
      result = a & b;
    } else if (operation == BitsOfTwo::Operation::kOr) {
      known |= (known_a & a) | (known_b & b);
      result = a | b;
    }
    one.known.data[i] = static_cast<std::uint8_t>(known);
    one.bits.data[i] = static_cast<std::uint8_t>(result & known);
  }
  return one;
}

[[nodiscard]] Value shift(const Value& value, const Shift& operation) {
  if (value.bits.size > 4 || operation.by > 31) return Value::unknown(value.bits.size);
  const std::uint32_t number = value.bits.as_host();
  const std::uint32_t known = value.known.as_host();
  const std::uint32_t filled = operation.left ? ~(~0U << operation.by) : ~(~0U >> operation.by);
  Mark shifted;
  shifted.bits = operation.left ? number << operation.by : number >> operation.by;
  shifted.unknown = ~((operation.left ? known << operation.by : known >> operation.by) | filled);
  Value result = of_mark(shifted);
  // A shorter number lies in the first bytes of a register whose rest is zero.
  return result;
}

[[nodiscard]] Value swap(Value value, std::size_t unit) {
  if (unit < 2) return value;
  for (std::size_t at = 0; at + unit <= value.bits.size; at += unit) {
    std::reverse(value.bits.data.begin() + static_cast<std::ptrdiff_t>(at),
                 value.bits.data.begin() + static_cast<std::ptrdiff_t>(at + unit));
    std::reverse(value.known.data.begin() + static_cast<std::ptrdiff_t>(at),
                 value.known.data.begin() + static_cast<std::ptrdiff_t>(at + unit));
  }
  return value;
}

[[nodiscard]] Value slice(const Value& value, std::size_t offset, std::size_t size) {
  Value part{value.bits.slice(offset, size), value.known.slice(offset, size), false};
  // What a reader asks for behind the end is not known.
  for (std::size_t i = part.bits.size; i < std::min(size, Bytes::kCapacity); ++i)
    part.bits.data[i] = part.known.data[i] = 0;
  part.bits.size = part.known.size = static_cast<std::uint8_t>(std::min(size, Bytes::kCapacity));
  return part;
}

[[nodiscard]] std::optional<std::uint32_t> number_of(const Draw& draw, const Drawn& drawn) {
  const auto found = std::ranges::find(drawn, &draw, [](const auto& one) { return one.first; });
  return found == drawn.end() ? std::nullopt : std::optional(found->second);
}

/// What all numbers have in common that may be drawn.
[[nodiscard]] Value common_bits(const Draw& draw) {
  const std::uint32_t last = draw.offset + std::max<std::uint32_t>(draw.modulus, 1) - 1;
  if (last < draw.offset) return Value::unknown(4);
  const int different = std::bit_width(draw.offset ^ last);
  Mark mark;
  mark.unknown = different == 32 ? ~0U : (1U << different) - 1;
  mark.bits = draw.offset & ~mark.unknown;
  return of_mark(mark);
}

[[nodiscard]] Value data_of(const SetElement& element, std::size_t size) {
  Value value = Value::of(element.data);
  if (size != 0) resize(value, size);
  return value;
}

}  // namespace

Value masked(Value value, const Bits& operation) {
  resize(value, std::max(operation.mask.size, operation.flip.size));
  for (std::size_t i = 0; i < value.bits.size; ++i) {
    const std::uint8_t mask = i < operation.mask.size ? operation.mask.data[i] : 0xff;
    const std::uint8_t flip = i < operation.flip.size ? operation.flip.data[i] : 0;
    value.known.data[i] = static_cast<std::uint8_t>(value.known.data[i] | ~mask);
    value.bits.data[i] = static_cast<std::uint8_t>(((value.bits.data[i] & mask) ^ flip) & value.known.data[i]);
  }
  return value;
}

Holds holds(const Value& value, const std::vector<std::pair<Bytes, Bytes>>& ranges) {
  Holds any = Holds::kNo;
  for (const auto& [first, last] : ranges) {
    Value part = value;
    if (part.bits.size != first.size) resize(part, first.size);
    if (first == last) {
      bool differs = false, known = true;
      for (std::size_t i = 0; i < first.size; ++i) {
        differs = differs || ((part.bits.data[i] ^ first.data[i]) & part.known.data[i]) != 0;
        known = known && part.known.data[i] == 0xff;
      }
      if (differs) continue;
      if (known) return Holds::kYes;
      any = Holds::kMaybe;
      continue;
    }
    Bytes highest = part.bits;
    for (std::size_t i = 0; i < highest.size; ++i)
      highest.data[i] = static_cast<std::uint8_t>(highest.data[i] | ~part.known.data[i]);
    if (highest < first || last < part.bits) continue;
    if (first <= part.bits && highest <= last) return Holds::kYes;
    any = Holds::kMaybe;
  }
  return any;
}

void Evaluator::collect_draws(const ExpressionPtr& expression, const Drawn& drawn, const Draw* in_priority,
                              std::vector<const Draw*>& into) {
  std::vector<const Expression*> open, seen;
  const auto add = [&](const ExpressionPtr& next) {
    if (next != nullptr && seen.size() < kMostSteps) open.push_back(next.get());
  };
  const auto found = [&](const Draw* one) {
    const bool known = std::ranges::any_of(drawn, [&](const auto& of) { return of.first == one; });
    if (!known && std::ranges::find(into, one) == into.end()) into.push_back(one);
  };
  add(expression);
  while (!open.empty()) {
    const Expression* next = open.back();
    open.pop_back();
    if (std::ranges::find(seen, next) != seen.end()) continue;
    seen.push_back(next);
    std::visit(
        Overloaded{[&](const Bits& one) { add(one.of); }, [&](const BitsOfTwo& one) { add(one.of), add(one.other); },
                   [&](const Shift& one) { add(one.of); }, [&](const Swap& one) { add(one.of); },
                   [&](const Concat& one) { std::ranges::for_each(one.parts, add); },
                   [&](const Slice& one) { add(one.of); }, [&](const MapLookup& one) { add(one.key); },
                   [&](const Draw& one) { found(&one); },
                   [&](const Meta& one) {
                     if (one.key == NFT_META_PRIORITY && in_priority != nullptr) found(in_priority);
                   },
                   [](const auto& /*leaf*/) {}},
        next->what);
  }
}

LookUp Evaluator::look_up(const std::string& name, const Value& key, const PacketState& state) {
  const WalkSet* asked = table_.set(name);
  if (asked == nullptr) return {};
  if (asked == assumed.first) {
    notes.looked_up.push_back({asked, key.bits, true, *assumed.second});
    return {Found::Answer::kThere, *assumed.second, {}, false};
  }
  LookUp found = indexes_.find(ruleset_, table_, *asked, key);
  if (asked->dynamic) {
    const bool put = std::ranges::any_of(
        state.updated, [&](const auto& one) { return one.first == asked && key.is_known() && one.second == key.bits; });
    if (put && found.answer != Found::Answer::kThere) {
      found.answer = asked->is_map ? Found::Answer::kUnknown : Found::Answer::kThere;
      found.maybe_absent = false;
      found.candidates.clear();
      notes.refreshed = asked->is_map;
      if (!asked->is_map) found.element = SetElement{key.bits, key.bits, {}, {}, {}, false};
    } else if (found.answer != Found::Answer::kThere) {
      notes.from_memory = true;
    }
  }
  // The same look-up twice in a rule is told once (an address and a port out of one map).
  const bool known = std::ranges::any_of(notes.looked_up,
                                         [&](const LookedUp& one) { return one.set == asked && one.key == key.bits; });
  if (!known && found.answer != Found::Answer::kUnknown)
    notes.looked_up.push_back({asked, key.bits, found.answer == Found::Answer::kThere, found.element});
  return found;
}

Value Evaluator::map_value(const MapLookup& lookup, const Value& key, const PacketState& state) {
  const LookUp found = look_up(lookup.map, key, state);
  switch (found.answer) {
    case Found::Answer::kThere: return data_of(found.element, lookup.size);
    case Found::Answer::kAbsent: return Value::none();
    case Found::Answer::kUnknown: break;
  }
  if (found.maybe_absent) notes.maybe_absent = true;
  if (found.candidates.empty()) return Value::unknown(lookup.size);
  notes.asked = table_.set(lookup.map);
  notes.candidates = found.candidates;
  // Bits that all candidates have in common are known.
  Value common = data_of(*found.candidates.front(), lookup.size);
  for (const SetElement* candidate : found.candidates) {
    const Value other = data_of(*candidate, common.bits.size);
    for (std::size_t i = 0; i < common.bits.size; ++i) {
      common.known.data[i] =
          static_cast<std::uint8_t>(common.known.data[i] & ~(common.bits.data[i] ^ other.bits.data[i]));
      common.bits.data[i] &= common.known.data[i];
    }
  }
  return common;
}

Value Evaluator::value_of(const ExpressionPtr& expression, const PacketState& state, const Drawn& drawn) {
  if (expression == nullptr || ++steps_ > kMostSteps || ++all_steps_ > kMostStepsOfRule) return Value::unknown(4);
  const auto of = [&](const ExpressionPtr& part, const auto& then) {
    const Value value = value_of(part, state, drawn);
    return value.absent ? value : then(value);
  };
  return std::visit(
      Overloaded{
          [&](const Payload& leaf) { return load(leaf, state); },
          [&](const Meta& leaf) {
            if (leaf.key != NFT_META_PRIORITY || carried == nullptr) return load(leaf, state, surroundings_);
            const auto number = number_of(*carried, drawn);
            return number ? Value::of(Bytes::host(*number)) : load(leaf, state, surroundings_);
          },
          [&](const Ct& leaf) { return load(leaf, state); },
          [&](const Fib& leaf) { return load(leaf, state, surroundings_); },
          [&](const SocketField& leaf) { return load(leaf, state); },
          [&](const RouteField& leaf) { return load(leaf, state, surroundings_); },
          [&](const ExtensionHeader& leaf) { return load(leaf, state); },
          [&](const Constant& leaf) { return Value::of(leaf.bytes); },
          [&](const Bits& node) { return of(node.of, [&](const Value& value) { return masked(value, node); }); },
          [&](const BitsOfTwo& node) {
            return of(node.of, [&](const Value& one) {
              return of(node.other, [&](const Value& other) { return bits_of_two(one, other, node.operation); });
            });
          },
          [&](const Shift& node) { return of(node.of, [&](const Value& value) { return shift(value, node); }); },
          [&](const Swap& node) { return of(node.of, [&](const Value& value) { return swap(value, node.unit); }); },
          [&](const Concat& node) {
            Value all;
            for (const ExpressionPtr& part : node.parts) {
              Value value = value_of(part, state, drawn);
              if (value.absent) return value;
              if (node.parts.size() > 1) resize(value, (value.bits.size + 3U) / 4 * 4);
              all.bits.append(value.bits);
              all.known.append(value.known);
            }
            return all;
          },
          [&](const Slice& node) {
            return of(node.of, [&](const Value& value) { return slice(value, node.offset, node.size); });
          },
          [&](const MapLookup& node) {
            return of(node.key, [&](const Value& key) { return map_value(node, key, state); });
          },
          [&](const Draw& node) {
            const auto number = number_of(node, drawn);
            return number ? Value::of(Bytes::host(*number)) : common_bits(node);
          },
          [&](const Unread& leaf) { return Value::unknown(leaf.size); },
      },
      expression->what);
}

}  // namespace kubenatd::rules::walk
