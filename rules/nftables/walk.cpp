#include "rules/nftables/walk.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <variant>

namespace kubenatd::rules::nftables {
namespace {

using former_walk::End;
using former_walk::Fit;

constexpr std::size_t kMostSteps = 4096;  ///< rules of one way; the constant ruleset has some 150
constexpr std::size_t kDeepest = 16;      // NFT_JUMP_STACK_SIZE of Linux 6.x

struct Stage {
  Hook hook;
  bool nat = true;  ///< nat has its say once a connection and direction
};
constexpr Stage kArriving[] = {{Hook::kPrerouting}};
constexpr Stage kToLocal[] = {{Hook::kInput}};
constexpr Stage kThrough[] = {{Hook::kForward}, {Hook::kPostrouting}};
constexpr Stage kSending[] = {{Hook::kOutput}, {Hook::kPostrouting}};
// A packet of the node to itself comes in again by lo.
constexpr Stage kLooped[] = {{Hook::kPrerouting, false}, {Hook::kInput, false}};

struct Frame {
  const Chain* chain = nullptr;
  std::size_t next = 0;
};

/// One way, as far as it has come.
struct Way {
  TableWay told;
  std::span<const Stage> stages;
  std::size_t stage = 0;
  std::vector<const Chain*> bases;  ///< of the hook, those still to come; the next one last
  std::vector<Frame> stack;
  std::optional<std::uint32_t> priority;
  std::optional<std::string> in_interface;  ///< none: not known
  std::size_t marked_by = 0;                ///< hop
  std::size_t steps = 0;
};

enum class Did : std::uint8_t { kFits, kFitsNot, kUnknown, kDone };

class Walker {
 public:
  Walker(const TableState& state, const former_walk::Surroundings& surroundings)
      : state_(state), surroundings_(surroundings) {
    for (const Chain& chain : state.ruleset.chains) chains_.emplace(chain.name, &chain);
  }

  TableWalk walk(const former_walk::Packet& packet) {
    Way first;
    first.told.packet = packet;
    const bool arriving = packet.origin == former_walk::Packet::Origin::kArriving;
    first.stages = arriving ? std::span<const Stage>(kArriving) : std::span<const Stage>(kSending);
    open_.push_back(std::move(first));
    while (!open_.empty()) {
      Way way = std::move(open_.back());
      open_.pop_back();
      follow(way);
      // Those for which a number was drawn, in the order of the numbers; remembered ones behind them.
      for (std::vector<Way>* some : {&remembered_, &drawn_}) {
        std::ranges::move(some->rbegin(), some->rend(), std::back_inserter(open_));
        some->clear();
      }
      drawn_by_.clear();
      before_memory_.reset();
    }
    return std::move(result_);
  }

 private:
  void follow(Way& way) {
    for (;;) {
      if (way.stack.empty() && !enter_base(way)) return;
      Frame& frame = way.stack.back();
      if (frame.next == frame.chain->rules.size()) {
        way.stack.pop_back();
        continue;
      }
      if (++way.steps > kMostSteps) {
        result_.cut = true;
        return finish(way, End::kUnknown);
      }
      const Chain& chain = *frame.chain;
      if (!meet(way, chain, chain.rules[frame.next++])) return;
    }
  }

  /// The next base chain; false when the packet has passed them all.
  bool enter_base(Way& way) {
    while (way.bases.empty())
      if (way.stage == way.stages.size() ? !route(way) : !enter_hook(way, way.stages[way.stage++])) return false;
    way.stack.push_back({way.bases.back(), 0});
    result_.chains.insert(way.bases.back()->name);
    way.bases.pop_back();
    return true;
  }

  bool enter_hook(Way& way, const Stage& stage) const {
    const former_walk::Packet& packet = way.told.packet;
    const bool receives = stage.hook != Hook::kOutput && stage.hook != Hook::kPostrouting;
    const bool arriving = packet.origin == former_walk::Packet::Origin::kArriving;
    way.in_interface = !receives ? "" : arriving ? packet.in_interface : "lo";
    if (receives && arriving && packet.in_interface.empty()) way.in_interface.reset();
    for (const Chain& chain : state_.ruleset.chains)
      if (chain.hook == stage.hook && (stage.nat || !chain.nat)) way.bases.push_back(&chain);
    std::ranges::stable_sort(way.bases, std::ranges::greater{}, &Chain::priority);
    return true;
  }

  /// Where it goes on after the hooks of one part of the way. False at the end.
  bool route(Way& way) {
    const bool local = surroundings_.is_local(way.told.packet.destination);
    const Stage* done = way.stages.data();
    way.stage = 0;
    if (done == kArriving) {
      way.stages = local ? std::span<const Stage>(kToLocal) : std::span<const Stage>(kThrough);
      return true;
    }
    if (done == kSending && local) {
      way.stages = kLooped;
      return true;
    }
    finish(way, local ? End::kLocal : End::kForwarded);
    return false;
  }

  void finish(Way& way, End end) {
    way.told.end = end;
    result_.ways.push_back(std::move(way.told));
  }

  /// False when the way has ended.
  bool meet(Way& way, const Chain& chain, const NftRule& rule) {
    TableHop hop{&chain, &rule, {}, Fit::kYes};
    Did did = rule.statements.empty() ? Did::kUnknown : Did::kFits;
    for (const Statement& statement : rule.statements) {
      did = std::visit([&](const auto& one) { return apply(way, hop, one); }, statement);
      if (did != Did::kFits) break;
    }
    if (did == Did::kDone) return !ended_;
    if (did == Did::kUnknown) hop.fit = Fit::kUnknown;
    if (did == Did::kFitsNot) hop.fit = Fit::kNo;
    if (did != Did::kFitsNot || !hop.found.empty()) way.told.hops.push_back(std::move(hop));
    return true;
  }

  static Did fits(bool yes) { return yes ? Did::kFits : Did::kFitsNot; }

  Did apply(Way& way, TableHop& hop, const InSet& match) {
    const Element* element = find({match.set, key_of(way, match.key), 0});
    if (element != nullptr) hop.found.push_back(element);
    return fits((element != nullptr) != match.negate);
  }
  static Did apply(Way& /*way*/, TableHop& /*hop*/, const IsNew& /*match*/) { return Did::kFits; }
  static Did apply(Way& way, TableHop& /*hop*/, const IsTranslated& /*match*/) {
    return fits(way.told.destination_changed);
  }
  static Did apply(Way& way, TableHop& /*hop*/, const InPrefix& match) {
    const former_walk::Packet& packet = way.told.packet;
    return fits(match.prefix.contains(match.source ? packet.source : packet.destination) != match.negate);
  }
  static Did apply(Way& way, TableHop& /*hop*/, const FromInterface& match) {
    if (!way.in_interface) return Did::kUnknown;
    const bool same = match.is_prefix ? way.in_interface->starts_with(match.name) : *way.in_interface == match.name;
    return fits(same != match.negate);
  }
  Did apply(Way& way, TableHop& /*hop*/, const IsLocal& match) const {
    const former_walk::Packet& packet = way.told.packet;
    return fits(surroundings_.is_local(match.source ? packet.source : packet.destination));
  }
  static Did apply(Way& way, TableHop& /*hop*/, const HasMark& match) {
    return fits((way.told.packet.mark & match.bits) != 0);
  }
  static Did apply(Way& way, TableHop& /*hop*/, const ChangeMark& change) {
    std::uint32_t& mark = way.told.packet.mark;
    mark = change.flip ? mark ^ change.bits : mark | change.bits;
    if (!change.flip) way.marked_by = way.told.hops.size();
    return Did::kFits;
  }
  Did apply(Way& way, TableHop& hop, const SetPriority& change) {
    way.priority.reset();
    if (change.key.empty()) return Did::kFits;
    const Element* element = find({change.map, key_of(way, change.key), 0});
    if (element == nullptr) return Did::kFitsNot;
    hop.found.push_back(element);
    way.priority.emplace();
    std::memcpy(&*way.priority, element->second.data.data.data(), sizeof *way.priority);
    return Did::kFits;
  }
  static Did apply(Way& /*way*/, TableHop& /*hop*/, const Remember& /*remember*/) { return Did::kFits; }

  Did apply(Way& way, TableHop& hop, const Translate& translate) {
    if (translate.map.id == SetId::kAffinity) {
      // Who is remembered is not looked up: any endpoint that may be drawn later may be the one.
      if (!way.priority) return Did::kFitsNot;
      before_memory_ = way;
      hop.fit = Fit::kIfRemembered;
      before_memory_->told.hops.push_back(hop);
      return Did::kFitsNot;
    }
    const bool random = !translate.key.empty() && translate.key.back().kind == Operand::Kind::kRandom;
    const std::uint32_t numbers = random ? translate.key.back().value : 1;
    if (numbers == 0) return Did::kFitsNot;
    const double odds = way.told.odds / numbers;
    std::uint32_t found = 0;
    for (std::uint32_t number = 0; number < numbers; ++number) {
      const Element* element = find({translate.map, key_of(way, translate.key, number), 0});
      if (element == nullptr) continue;
      ++found;
      give(way, hop, *element, odds);
    }
    if (found == 0) return Did::kFitsNot;
    way.told.odds -= odds * found;
    ended_ = found == numbers;
    return Did::kDone;
  }
  Did apply(Way& way, TableHop& hop, const Masquerade& /*masquerade*/) {
    const bool by_mark = std::holds_alternative<HasMark>(hop.rule->statements.front());
    way.told.masquerade_hop = by_mark ? way.marked_by : way.told.hops.size();
    way.told.masqueraded = true;
    way.told.hops.push_back(hop);
    way.stack.clear();
    return go_on();
  }
  Did apply(Way& way, TableHop& hop, const Reject& /*reject*/) { return end(way, hop, End::kRejected); }
  Did apply(Way& way, TableHop& hop, const Drop& /*drop*/) { return end(way, hop, End::kDropped); }
  Did apply(Way& way, TableHop& hop, const GoTo& go) {
    way.told.hops.push_back(hop);
    const auto found = chains_.find(go.chain);
    if (found == chains_.end() || way.stack.size() >= kDeepest) {
      result_.cut = true;
      return go_on();
    }
    result_.chains.insert(go.chain);
    if (!go.jump) way.stack.pop_back();
    way.stack.push_back({found->second, 0});
    return go_on();
  }

  Did go_on() {
    ended_ = false;
    return Did::kDone;
  }
  Did end(Way& way, TableHop& hop, End end) {
    way.told.hops.push_back(hop);
    finish(way, end);
    ended_ = true;
    return Did::kDone;
  }

  /// The part of a way that goes to this endpoint; with the parts of other draws it is one.
  void give(const Way& way, TableHop hop, const Element& element, double odds) {
    hop.found.push_back(&element);
    const auto [at, is_new] = drawn_by_.try_emplace(&element, drawn_.size());
    if (!is_new) {
      drawn_[at->second].told.odds += odds;
      return;
    }
    Way part = way;
    part.told.odds = odds;
    part.told.hops.push_back(hop);
    translate(part, element);
    drawn_.push_back(std::move(part));
    if (!before_memory_) return;
    Way again = *before_memory_;
    again.told.remembered = true;
    again.told.odds = 1;
    translate(again, element);
    remembered_.push_back(std::move(again));
  }

  static void translate(Way& way, const Element& element) {
    former_walk::Packet& packet = way.told.packet;
    Address address{packet.destination.family, {}};
    const std::size_t size = bits_of(address.family) / 8;
    const std::uint8_t* data = element.second.data.data.data();
    std::copy_n(data, size, address.bytes.begin());
    const auto port = static_cast<std::uint16_t>(data[size] << 8 | data[size + 1]);
    // The kernel sets the connection's DNAT bit only when something changes.
    way.told.destination_changed = packet.destination != address || packet.destination_port != port;
    packet.destination = address;
    packet.destination_port = port;
    way.stack.clear();
  }

  static Bytes<kKeyCapacity> key_of(const Way& way, const Key& operands, std::uint32_t drawn = 0) {
    const former_walk::Packet& packet = way.told.packet;
    Bytes<kKeyCapacity> key;
    for (const Operand& operand : operands) {
      using enum Operand::Kind;
      switch (operand.kind) {
        case kSource: key.address(packet.source); break;
        case kDestination: key.address(packet.destination); break;
        case kProtocol: key.protocol(packet.protocol); break;
        case kPort: key.port(packet.destination_port); break;
        case kPriority: key.number(way.priority.value_or(0)); break;
        case kRandom: key.number(drawn); break;
        case kConstant: key.number(operand.value); break;
      }
    }
    return key;
  }

  const Element* find(ElementKey key) {
    if (key.set.id == SetId::kSourceRanges) return find_range(key);
    result_.keys.insert(key);
    const auto found = state_.elements.find(key);
    return found == state_.elements.end() ? nullptr : &*found;
  }

  /// The narrowest range around the address that ends the key.
  const Element* find_range(ElementKey key) {
    const unsigned bits = (key.key.size - 8U) / 2 * 8;  // two addresses, protocol and port
    for (std::uint8_t free = 0;; ++free) {
      key.range = free;
      const auto found = state_.elements.find(key);
      if (found != state_.elements.end()) {
        result_.keys.insert(key);
        return &*found;
      }
      if (free >= bits) return nullptr;
      std::uint8_t& byte = key.key.data[key.key.size - 1U - free / 8U];
      byte = static_cast<std::uint8_t>(byte & ~(1U << free % 8U));
    }
  }

  const TableState& state_;
  const former_walk::Surroundings& surroundings_;
  std::map<std::string_view, const Chain*> chains_;
  std::vector<Way> open_;
  std::vector<Way> drawn_;  ///< that split off the way which is followed
  std::map<const Element*, std::size_t> drawn_by_;
  std::vector<Way> remembered_;
  std::optional<Way> before_memory_;  ///< the way at the rule that asks who is remembered
  bool ended_ = false;
  TableWalk result_;
};

}  // namespace

TableState state_of(const DesiredElements& desired, const DesiredElements::AsIf& as_if) {
  TableState state{desired.ruleset(), {}};
  desired.for_each_element(
      [](const SetRef& /*set*/) { return true; },
      [&](const ElementKey& key, const ElementValue& value) { state.elements.insert_or_assign(key, value); }, as_if);
  return state;
}

TableWalk walk_table(const TableState& state, const former_walk::Packet& packet,
                     const former_walk::Surroundings& surroundings) {
  return Walker(state, surroundings).walk(packet);
}

}  // namespace kubenatd::rules::nftables
