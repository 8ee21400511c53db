#include "netlink/walk/element_lookup.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <string_view>
#include <utility>

#include "netlink/walk/registers.h"
#include "netlink/walk/set_reader.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

std::size_t key_size(const WalkSet& set) {
  if (set.parts.size() == 1) return set.parts.front();
  std::size_t size = 0;
  for (const std::uint16_t part : set.parts) size += filled_size(part);
  return size;
}

}  // namespace

std::uint8_t number_of(TableFamily family) {
  switch (family) {
    case TableFamily::kIp: return NFPROTO_IPV4;
    case TableFamily::kIp6: return NFPROTO_IPV6;
    case TableFamily::kInet: return NFPROTO_INET;
    case TableFamily::kNetdev: return NFPROTO_NETDEV;
    case TableFamily::kBridge: return NFPROTO_BRIDGE;
    case TableFamily::kArp: return NFPROTO_ARP;
  }
  return NFPROTO_UNSPEC;
}

Found ElementLookup::ask(const WalkTable& table, const WalkSet& set, std::string_view key, std::uint32_t flags) const {
  LiveSet live;
  live.set = set;
  // Here an end of an interval is an answer, not a part of one.
  live.set.interval = false;
  live.key_size = key_size(set);
  live.objects_decide = deciding_.contains({table.family, table.name, set.name});
  ElementReader reader(live, 1, ElementReader::Ends::kKeep);
  const auto there = kernel_->get_element({number_of(table.family), table.name, set.name, key, flags},
                                          [&](std::string_view attributes) { reader.add(attributes); });
  if (!there) return {};
  // Of an interval without an end the kernel (6.18) says that all is well, and gives nothing.
  const bool is_open = (flags & NFT_SET_ELEM_INTERVAL_END) != 0 && reader.count() == 0;
  if (!*there || is_open) return {Found::Answer::kAbsent, {}};
  reader.finish(live.set);
  if (live.set.catch_all) return {Found::Answer::kThere, std::move(*live.set.catch_all)};
  if (!live.set.complete || live.set.elements.size() != 1) return {};
  return {Found::Answer::kThere, std::move(live.set.elements.front())};
}

Found ElementLookup::operator()(const WalkTable& table, const WalkSet& set, const Bytes& key) const {
  Bytes filled = key;
  const std::size_t size = key_size(set);
  if (filled.size > size) return {};
  while (filled.size < size) filled.append(Bytes::filled(1, 0));
  const std::string_view bytes(reinterpret_cast<const char*>(filled.data.data()), filled.size);
  Found found = ask(table, set, bytes, 0);
  if (found.answer != Found::Answer::kThere || !set.interval || set.parts.size() > 1) return found;
  // The kernel gives where the interval begins; the first value behind it is another element.
  Found end = ask(table, set, bytes, NFT_SET_ELEM_INTERVAL_END);
  // Asked for the end at the very value where an interval begins, Linux 6.12 gives that beginning once more.
  if (end.answer == Found::Answer::kThere && end.element.first == found.element.first) {
    Bytes next = filled;
    end = step(next, true)
              ? ask(table, set, {reinterpret_cast<const char*>(next.data.data()), next.size}, NFT_SET_ELEM_INTERVAL_END)
              : Found{Found::Answer::kAbsent, {}};
  }
  switch (end.answer) {
    case Found::Answer::kThere:
      found.element.last = end.element.first;
      step(found.element.last, false);
      break;
    case Found::Answer::kAbsent: found.element.last = Bytes::filled(filled.size, 0xff); break;
    case Found::Answer::kUnknown: found.element.last = filled; break;
  }
  return found;
}

Found ElementLookup::catch_all(const WalkTable& table, const WalkSet& set) const {
  return ask(table, set, {}, NFT_SET_ELEM_CATCHALL);
}

}  // namespace kubenatd::netlink::walk
