#include <linux/netfilter/nf_tables.h>

#include <cstring>

#include "netlink/core/attributes.h"
#include "netlink/nftables/codec.h"

/// What the kernel answers about nftables mode's table, to values.
namespace kubenatd::netlink::nftables {
namespace {

using namespace rules::nftables;

template <class Value>
void read_bytes(std::string_view nest, Value& value, bool& plain) {
  const std::string_view bytes = find_attribute(nest, NFTA_DATA_VALUE).payload;
  if (bytes.empty() || bytes.size() > value.data.size()) {
    plain = false;
    return;
  }
  value = {};  // an attribute may come twice
  std::memcpy(value.data.data(), bytes.data(), bytes.size());
  value.size = static_cast<std::uint8_t>((bytes.size() + 3) / 4 * 4);
}

void read_counter(std::string_view expression, LiveElement& element) {
  if (find_attribute(expression, NFTA_EXPR_NAME).text() != kCounter) {
    element.plain = false;
    return;
  }
  const std::string_view data = find_attribute(expression, NFTA_EXPR_DATA).payload;
  element.packets = find_attribute(data, NFTA_COUNTER_PACKETS).be64();
}

/// How many bits at the end differ between the first and the last key of a range.
std::uint8_t range_of(const Bytes<kKeyCapacity>& first, const Bytes<kKeyCapacity>& last) {
  for (std::size_t i = 0; i < first.size; ++i) {
    const auto different = static_cast<unsigned>(first.data[i] ^ last.data[i]);
    if (different == 0) continue;
    std::uint8_t bits = 0;
    while (bits < 8 && different >> bits != 0) ++bits;
    return static_cast<std::uint8_t>((first.size - 1U - i) * 8 + bits);
  }
  return 0;
}

}  // namespace

std::string_view nft_comment(std::string_view bytes) {
  while (bytes.size() >= 2) {
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(bytes[1]));
    if (bytes.size() - 2 < size) break;
    if (static_cast<std::uint8_t>(bytes[0]) == kNftUserComment) {
      std::string_view comment = bytes.substr(2, size);
      return comment.substr(0, comment.find('\0'));
    }
    bytes.remove_prefix(2 + size);
  }
  return {};
}

std::optional<LiveSet> read_nft_set(std::string_view attributes, std::string_view table) {
  LiveSet set;
  bool ours = false;
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case NFTA_SET_TABLE: ours = attribute.text() == table; break;
      case NFTA_SET_NAME: set.name = attribute.text(); break;
      case NFTA_SET_FLAGS: set.flags = attribute.be32(); break;
      case NFTA_SET_KEY_TYPE: set.key_type = attribute.be32(); break;
      case NFTA_SET_KEY_LEN: set.key_length = attribute.be32(); break;
      case NFTA_SET_DATA_TYPE: set.data_type = attribute.be32(); break;
      case NFTA_SET_DATA_LEN: set.data_length = attribute.be32(); break;
      case NFTA_SET_EXPR: set.counted = find_attribute(attribute.payload, NFTA_EXPR_NAME).text() == kCounter; break;
      case NFTA_SET_DESC: set.size = find_attribute(attribute.payload, NFTA_SET_DESC_SIZE).be32(); break;
      default: break;
    }
  }
  return ours ? std::optional(std::move(set)) : std::nullopt;
}

std::optional<LiveFlowtable> read_nft_flowtable(std::string_view attributes, std::string_view table) {
  LiveFlowtable flowtable;
  bool ours = false;
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case NFTA_FLOWTABLE_TABLE: ours = attribute.text() == table; break;
      case NFTA_FLOWTABLE_NAME: flowtable.name = attribute.text(); break;
      case NFTA_FLOWTABLE_FLAGS: flowtable.flags = attribute.be32(); break;
      case NFTA_FLOWTABLE_HOOK: {
        flowtable.hook = find_attribute(attribute.payload, NFTA_FLOWTABLE_HOOK_NUM).be32();
        flowtable.priority =
            static_cast<std::int32_t>(find_attribute(attribute.payload, NFTA_FLOWTABLE_HOOK_PRIORITY).be32());
        AttributeReader devices(find_attribute(attribute.payload, NFTA_FLOWTABLE_HOOK_DEVS).payload);
        for (Attribute device; devices.next(device);)
          if (device.type == NFTA_DEVICE_NAME) flowtable.devices.emplace(device.text());
        break;
      }
      default: break;
    }
  }
  return ours ? std::optional(std::move(flowtable)) : std::nullopt;
}

std::optional<LiveNftChain> read_nft_chain(std::string_view attributes, std::string_view table) {
  LiveNftChain chain;
  bool ours = false;
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case NFTA_CHAIN_TABLE: ours = attribute.text() == table; break;
      case NFTA_CHAIN_NAME: chain.name = attribute.text(); break;
      case NFTA_CHAIN_HOOK:
        chain.hook = find_attribute(attribute.payload, NFTA_HOOK_HOOKNUM).be32();
        chain.priority = static_cast<std::int32_t>(find_attribute(attribute.payload, NFTA_HOOK_PRIORITY).be32());
        break;
      case NFTA_CHAIN_TYPE: chain.type = attribute.text(); break;
      case NFTA_CHAIN_POLICY: chain.policy = attribute.be32(); break;
      default: break;
    }
  }
  return ours ? std::optional(std::move(chain)) : std::nullopt;
}

std::optional<LiveNftRule> read_nft_rule(std::string_view attributes, std::string_view table) {
  LiveNftRule rule;
  bool ours = false;
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case NFTA_RULE_TABLE: ours = attribute.text() == table; break;
      case NFTA_RULE_CHAIN: rule.chain = attribute.text(); break;
      case NFTA_RULE_EXPRESSIONS: rule.expressions = attribute.payload; break;
      case NFTA_RULE_USERDATA: rule.comment = nft_comment(attribute.payload); break;
      default: break;
    }
  }
  return ours ? std::optional(rule) : std::nullopt;
}

LiveElement read_nft_element(std::string_view attributes, const SetRef& set) {
  LiveElement element;
  element.key.set = set;
  std::optional<Bytes<kKeyCapacity>> last;
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case NFTA_SET_ELEM_KEY: read_bytes(attribute.payload, element.key.key, element.plain); break;
      case NFTA_SET_ELEM_KEY_END: read_bytes(attribute.payload, last.emplace(), element.plain); break;
      case NFTA_SET_ELEM_DATA: read_bytes(attribute.payload, element.data, element.plain); break;
      case NFTA_SET_ELEM_USERDATA: element.comment = nft_comment(attribute.payload); break;
      case NFTA_SET_ELEM_EXPR: read_counter(attribute.payload, element); break;
      case NFTA_SET_ELEM_TIMEOUT:
      case NFTA_SET_ELEM_EXPIRATION:
      case NFTA_SET_ELEM_PAD: break;
      default: element.plain = false; break;
    }
  }
  if (last) {
    element.key.range = range_of(element.key.key, *last);
    if (last_of(element.key) != *last) element.plain = false;
  }
  if (element.key.key.size == 0) element.plain = false;
  return element;
}

void read_nft_elements(std::string_view attributes, const SetRef& set,
                       const std::function<void(const LiveElement&)>& visit) {
  AttributeReader list(find_attribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).payload);
  for (Attribute entry; list.next(entry);) visit(read_nft_element(entry.payload, set));
}

}  // namespace kubenatd::netlink::nftables
