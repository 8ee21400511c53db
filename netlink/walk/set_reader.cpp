#include "netlink/walk/set_reader.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "netlink/nftables/codec.h"
#include "netlink/walk/expression_attributes.h"
#include "netlink/walk/expression_reader.h"
#include "netlink/walk/key_types.h"
#include "netlink/walk/verdict.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

constexpr std::uint16_t kSetCount = 20;  // NFTA_SET_COUNT, since 6.16
constexpr std::uint32_t kDataVerdict = NFT_DATA_VERDICT;

std::size_t filled_sum(const std::vector<std::uint16_t>& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::size_t{0},
                         [](std::size_t sum, std::uint16_t part) { return sum + filled_size(part); });
}

/// The kernel knows the parts of a concatenation only where it needs them; nft's type tells them otherwise.
std::vector<std::uint16_t> parts_of(std::size_t key_size, std::string_view description, const KeyType& type) {
  std::vector<std::uint16_t> parts;
  AttributeReader reader(find_attribute(description, NFTA_SET_DESC_CONCAT).payload);
  for (Attribute field; reader.next(field);)
    parts.push_back(static_cast<std::uint16_t>(find_attribute(field.payload, NFTA_SET_FIELD_LEN).be32()));
  if (parts.size() > 1 && filled_sum(parts) == key_size) return parts;
  const bool sizes_known = std::ranges::all_of(type.sizes, [](std::uint16_t size) { return size != 0; });
  if (type.sizes.size() > 1 && sizes_known && filled_sum(type.sizes) == key_size) return type.sizes;
  return {static_cast<std::uint16_t>(key_size)};
}

bool decides(std::string_view expression) {
  const std::string_view kind = find_attribute(expression, NFTA_EXPR_NAME).text();
  return !condition_text(kind, ExpressionAttributes({}), false).empty();
}

/// Whether an element holds an expression on which a rule may end.
bool is_conditional(const ExpressionAttributes& attributes) {
  if (attributes.has(NFTA_SET_ELEM_EXPR) && decides(attributes.payload(NFTA_SET_ELEM_EXPR))) return true;
  AttributeReader reader(attributes.payload(NFTA_SET_ELEM_EXPRESSIONS));
  for (Attribute expression; reader.next(expression);)
    if (decides(expression.payload)) return true;
  return false;
}

}  // namespace

bool step(Bytes& bytes, bool up) {
  for (std::size_t i = bytes.size; i-- > 0;) {
    std::uint8_t& byte = bytes.data[i];
    const bool carries = byte == (up ? 0xff : 0);
    byte = static_cast<std::uint8_t>(up ? byte + 1 : byte - 1);
    if (!carries) return true;
  }
  return false;
}

std::optional<LiveSet> read_set(std::string_view bytes) {
  const ExpressionAttributes attributes(bytes);
  LiveSet live;
  WalkSet& set = live.set;
  set.name = attributes.text(NFTA_SET_NAME);
  if (set.name.empty()) return std::nullopt;
  const std::uint32_t flags = attributes.be32(NFTA_SET_FLAGS);
  const KeyType type = key_type(attributes.be32(NFTA_SET_KEY_TYPE));
  live.key_size = std::min<std::size_t>(attributes.be32(NFTA_SET_KEY_LEN), Bytes::kCapacity);
  live.elements = attributes.be32(kSetCount);
  set.type = type.text;
  set.parts = parts_of(live.key_size, attributes.payload(NFTA_SET_DESC), type);
  set.is_map = (flags & NFT_SET_MAP) != 0;
  set.has_verdicts = set.is_map && attributes.be32(NFTA_SET_DATA_TYPE) == kDataVerdict;
  if (set.is_map && !set.has_verdicts)
    set.data_size =
        static_cast<std::uint16_t>(std::min<std::size_t>(attributes.be32(NFTA_SET_DATA_LEN), Bytes::kCapacity));
  if (set.is_map && !set.has_verdicts) set.data_type = key_type(attributes.be32(NFTA_SET_DATA_TYPE)).text;
  set.interval = (flags & NFT_SET_INTERVAL) != 0;
  set.anonymous = (flags & NFT_SET_ANONYMOUS) != 0;
  set.dynamic = (flags & NFT_SET_EVAL) != 0;
  switch (attributes.be32(NFTA_SET_OBJ_TYPE)) {
    case NFT_OBJECT_UNSPEC:
    case NFT_OBJECT_COUNTER:
    case NFT_OBJECT_CT_HELPER:
    case NFT_OBJECT_CT_TIMEOUT:
    case NFT_OBJECT_SECMARK:
    case NFT_OBJECT_TUNNEL: break;
    default: live.objects_decide = true; break;
  }
  return live;
}

void ElementReader::add(std::string_view attributes) {
  AttributeReader list(find_attribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).payload);
  for (Attribute element; list.next(element);) add_element(element.payload);
}

void ElementReader::add_element(std::string_view bytes) {
  const ExpressionAttributes attributes(bytes);
  const std::uint32_t flags = attributes.be32(NFTA_SET_ELEM_FLAGS);
  const bool is_catch_all = (flags & NFT_SET_ELEM_CATCHALL) != 0;
  if (!is_catch_all && ++count_ > limit_) return;
  Live live;
  SetElement& element = live.element;
  element.first = attributes.value(NFTA_SET_ELEM_KEY);
  const bool has_both = attributes.has(NFTA_SET_ELEM_KEY_END);
  element.last = has_both ? attributes.value(NFTA_SET_ELEM_KEY_END) : element.first;
  element.comment = nftables::nft_comment(attributes.payload(NFTA_SET_ELEM_USERDATA));
  element.conditional = live_->objects_decide || is_conditional(attributes);
  if (attributes.has(NFTA_SET_ELEM_DATA)) {
    const std::string_view data = attributes.payload(NFTA_SET_ELEM_DATA);
    if (live_->set.has_verdicts) {
      element.verdict = read_verdict(find_attribute(data, NFTA_DATA_VERDICT).payload);
      // Of a map of verdicts every element has one that is known, or the map is not.
      if (!element.verdict) strange_ = true;
    } else {
      element.data = Bytes(find_attribute(data, NFTA_DATA_VALUE).payload);
    }
  }
  if (is_catch_all) {
    element.first = element.last = Bytes();
    catch_all_ = std::move(element);
    return;
  }
  if (element.first.size != live_->key_size || element.last.size != live_->key_size) {
    strange_ = true;
    return;
  }
  live.ends = (flags & NFT_SET_ELEM_INTERVAL_END) != 0;
  has_ranges_ = has_ranges_ || has_both;
  elements_.push_back(std::move(live));
}

std::vector<SetElement> ElementReader::join_intervals() {
  // The end of one interval stands before the start of the next one at the same value.
  std::ranges::stable_sort(elements_, [](const Live& one, const Live& other) {
    if (one.element.first != other.element.first) return one.element.first < other.element.first;
    return one.ends && !other.ends;
  });
  std::vector<SetElement> joined;
  for (std::size_t i = 0; i < elements_.size(); ++i) {
    if (elements_[i].ends) continue;
    SetElement element = std::move(elements_[i].element);
    element.last = Bytes::filled(element.first.size, 0xff);
    if (i + 1 < elements_.size()) {
      element.last = elements_[i + 1].element.first;
      step(element.last, false);
    }
    joined.push_back(std::move(element));
  }
  return joined;
}

void ElementReader::finish(WalkSet& set) {
  set.elements.clear();
  set.catch_all = std::move(catch_all_);
  set.complete = count_ <= limit_ && !strange_;
  if (!set.complete) return;
  // Ranges of concatenations have both ends in one element.
  if (set.interval && !has_ranges_ && set.parts.size() == 1) {
    set.elements = join_intervals();
  } else {
    for (Live& live : elements_)
      if (!live.ends || ends_ == Ends::kKeep) set.elements.push_back(std::move(live.element));
    // A table of hashes has no order of its own.
    std::ranges::sort(set.elements, {}, &SetElement::first);
  }
}

}  // namespace kubenatd::netlink::walk
