#include "netlink/core/batch.h"
#include "netlink/core/messages.h"
#include "netlink/nftables/codec.h"
#include "netlink/walk/legacy_tables.h"
#include "netlink/walk/set_reader.h"
#include "rules/nftables/element.h"
#include "test/fuzz/packets.h"

/// Attributes of sets, elements, chains and rules of nf_tables, and tables of iptables-legacy.
namespace kubenatd::fuzz {
namespace {

using namespace netlink;

/// A set, and behind it messages of its elements.
void check_walked(std::string_view input) {
  const auto set = walk::read_set(take_piece(input));
  if (!set) return;
  walk::ElementReader reader(*set, 512);
  while (!input.empty()) reader.add(take_piece(input));
  rules::walk::WalkTable table;
  table.name = "table";
  auto& read = table.sets[set->set.name] = set->set;
  reader.finish(read);
  require(read.elements.size() <= 512, "no more elements than were asked for");
  for (const auto& element : read.elements) (void)rules::walk::nft::to_text(element, read);
}

/// Of our own table: what is read of a plain element is written, as the sync does it, and read as it was.
void check_own(std::string_view input) {
  namespace own = rules::nftables;
  (void)nftables::read_nft_set(input, "kubenatd");
  (void)nftables::read_nft_chain(input, "kubenatd");
  (void)nftables::read_nft_rule(input, "kubenatd");
  const own::SetRef ref{static_cast<own::SetId>(take_byte(input) % own::kFixedSets), 0};
  nftables::read_nft_elements(input, ref, [&](const nftables::LiveElement& element) {
    Batch batch;
    nftables::ElementWriter writer(batch, rules::Family::kIpv4, nftables::ElementWriter::Change::kAdd);
    own::ElementValue value{.data = element.data, .comment = std::make_shared<const std::string>(element.comment)};
    writer.write(element.key, value);
    writer.end();
    if (!element.plain) return;
    MessageReader reader(batch.written());
    Message message;
    require(reader.next(message), "an element that was written is a message");
    std::size_t count = 0;
    nftables::read_nft_elements(message.attributes(), ref, [&](const nftables::LiveElement& again) {
      ++count;
      const bool has_range = ref.id == own::SetId::kSourceRanges;
      require(again.key.key == element.key.key && (!has_range || again.key.range == element.key.range),
              "the key of an element that was written is read as it was");
      require(again.data == element.data && again.plain, "the value of an element that was written is read as it was");
    });
    require(count == 1, "an element that was written is one");
  });
}

void check_legacy(std::string_view input) {
  walk::LegacyTable table;
  table.family = (take_byte(input) & 1U) == 0 ? rules::Family::kIpv4 : rules::Family::kIpv6;
  table.name = "nat";
  table.hooks = 0x1b;
  for (auto* offsets : {&table.first, &table.policy})
    for (std::uint32_t& offset : *offsets)
      offset = static_cast<std::uint32_t>(take_byte(input) << 8U | take_byte(input));
  table.entries = std::string(input);
  (void)table.is_idle();
  rules::walk::Ruleset ruleset;
  walk::add_legacy_table(ruleset, table);
  walk_all(ruleset);
}

}  // namespace

void check(std::string_view input) {
  switch (take_byte(input) % 3) {
    case 0: return check_walked(input);
    case 1: return check_own(input);
    default: return check_legacy(input);
  }
}

}  // namespace kubenatd::fuzz
