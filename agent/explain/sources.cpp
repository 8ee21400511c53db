#include "agent/explain/sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/printable.h"
#include "agent/explain/nft_json.h"
#include "netlink/walk/legacy_tables.h"
#include "netlink/walk/ruleset_reader.h"
#include "rules/walk/nft/ruleset_text.h"
#include "rules/walk/xt/save_text.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Ruleset;
using rules::walk::WalkTable;

constexpr std::size_t kLargestSave = std::size_t{256} * 1024 * 1024;
constexpr std::size_t kLongestPath = 4096;
constexpr std::string_view kBlanks = " \t\r\n";

/// Where the JSON of `nft -j` begins, past what stands around it in what people paste; npos: there is none.
std::size_t start_of_json(std::string_view text) {
  const auto key = text.find("\"nftables\"");
  if (key == std::string_view::npos || key == 0) return std::string_view::npos;
  const auto brace = text.find_last_not_of(kBlanks, key - 1);
  return brace != std::string_view::npos && text[brace] == '{' ? brace : std::string_view::npos;
}

std::string_view json_in(std::string_view text) {
  const auto start = start_of_json(text);
  const auto end = text.rfind('}');
  return start == std::string_view::npos || end == std::string_view::npos || end < start
             ? text
             : text.substr(start, end - start + 1);
}

void append_utf8(std::uint32_t code, std::string& text) {
  const auto byte = [&](std::uint32_t value) { text += static_cast<char>(value); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) {
    byte(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      byte(0xe0 | code >> 12);
    } else {
      byte(0xf0 | code >> 18);
      byte(0x80 | (code >> 12 & 0x3f));
    }
    byte(0x80 | (code >> 6 & 0x3f));
  }
  byte(0x80 | (code & 0x3f));
}

/// Halves of pairs that stand alone become U+FFFD.
std::string from_utf16(std::string_view bytes, bool big) {
  constexpr std::uint32_t kReplacement = 0xfffd;
  const auto unit = [&](std::size_t at) {
    const auto first = static_cast<std::uint8_t>(bytes[at]);
    const auto second = static_cast<std::uint8_t>(bytes[at + 1]);
    return static_cast<std::uint32_t>(big ? first << 8 | second : second << 8 | first);
  };
  std::string text;
  text.reserve(bytes.size() / 2);
  for (std::size_t at = 0; at + 1 < bytes.size(); at += 2) {
    const std::uint32_t code = unit(at);
    if (code < 0xd800 || code > 0xdfff) {
      append_utf8(code, text);
      continue;
    }
    const std::uint32_t low = code < 0xdc00 && at + 3 < bytes.size() ? unit(at + 2) : 0;
    if (low < 0xdc00 || low > 0xdfff) {
      append_utf8(kReplacement, text);
      continue;
    }
    append_utf8(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00), text);
    at += 2;
  }
  return text;
}

std::string describe(const WalkTable& table) {
  return fmt::format("table {} {}{}", name_of(table.family), base::one_line(table.name),
                     table.legacy ? " of iptables-legacy" : "");
}

/// Moves all tables of `more` over. No table is in both.
void join(Ruleset& into, Ruleset&& more) {
  for (WalkTable& table : more.tables()) into.tables().push_back(std::move(table));
  std::ranges::move(more.not_looked_at, std::back_inserter(into.not_looked_at));
}

rules::Result<Ruleset> read_one(const SavedText& saved, std::vector<std::string>& remarks) {
  Ruleset ruleset;
  rules::Status read;
  switch (form_of(saved.text)) {
    case SavedForm::kNftJson: read = read_nft_json(json_in(saved.text), ruleset); break;
    case SavedForm::kNft: read = rules::walk::nft::read_ruleset_text(saved.text, ruleset); break;
    case SavedForm::kIptablesSave: {
      rules::walk::xt::Remarks lines;
      read = rules::walk::xt::read_save_text(saved.text, ruleset, lines);
      for (const std::string& line : lines) remarks.push_back(saved.name + ": " + line);
      break;
    }
  }
  if (!read) return rules::fail(saved.name, read.error().operation, read.error().cause, read.error().code);
  return ruleset;
}

}  // namespace

SavedForm form_of(std::string_view text) {
  if (start_of_json(text) != std::string_view::npos) return SavedForm::kNftJson;
  const auto first = text.find_first_not_of(kBlanks);
  if (first != std::string_view::npos && text[first] == '{') return SavedForm::kNftJson;
  return rules::walk::nft::looks_like_ruleset(text) ? SavedForm::kNft : SavedForm::kIptablesSave;
}

std::string as_utf8(std::string text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (text.starts_with(kMark)) return text.substr(kMark.size());
  if (text.starts_with("\xff\xfe")) return from_utf16(std::string_view(text).substr(2), false);
  if (text.starts_with("\xfe\xff")) return from_utf16(std::string_view(text).substr(2), true);
  // Without a mark: these texts begin with letters of ASCII.
  if (text.size() >= 4 && text[0] != '\0' && text[1] == '\0' && text[2] != '\0' && text[3] == '\0')
    return from_utf16(text, false);
  if (text.size() >= 4 && text[0] == '\0' && text[1] != '\0' && text[2] == '\0' && text[3] != '\0')
    return from_utf16(text, true);
  return text;
}

rules::Result<Ruleset> read_saved_texts(const std::vector<SavedText>& texts, std::vector<std::string>& remarks) {
  Ruleset all;
  std::vector<std::pair<const WalkTable*, const SavedText*>> givers;
  for (const SavedText& saved : texts) {
    auto read = read_one(saved, remarks);
    if (!read) return std::unexpected(read.error());
    for (const WalkTable& table : read->tables()) {
      const WalkTable* there = all.find(table.family, table.name, table.legacy);
      if (there == nullptr) continue;
      const auto giver = std::ranges::find(givers, there, [](const auto& one) { return one.first; });
      return rules::fail(saved.name, "read",
                         fmt::format("{} is in {}, too: which of them counts cannot be told, give it once",
                                     describe(table), giver->second->name));
    }
    const std::size_t before = all.tables().size();
    join(all, std::move(*read));
    for (std::size_t i = before; i < all.tables().size(); ++i) givers.emplace_back(&all.tables()[i], &saved);
  }
  return all;
}

rules::Result<Ruleset> read_saved_files(const std::vector<std::filesystem::path>& files,
                                        std::vector<std::string>& remarks) {
  std::vector<SavedText> texts;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string name = base::one_line(files[i].string(), kLongestPath);
    for (std::size_t other = 0; other < i; ++other) {
      std::error_code ignored;
      if (std::filesystem::equivalent(files[i], files[other], ignored))
        return rules::fail(name, "read", "the file is given twice");
    }
    auto text = base::read_file(files[i], kLargestSave, "read");
    if (!text) return std::unexpected(text.error());
    texts.push_back({name, as_utf8(std::move(*text))});
  }
  return read_saved_texts(texts, remarks);
}

rules::Result<Ruleset> read_live_rules(std::size_t at_once) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  auto ruleset = netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*kernel)), at_once);
  if (!ruleset) return std::unexpected(ruleset.error());
  netlink::walk::read_legacy_tables(*ruleset);
  return ruleset;
}

rules::Result<Ruleset> desired_rules(const dataplane::Model& model, netlink::NfTables* kernel) {
  Ruleset all;
  std::array<decltype(Ruleset::look_up), 2> look_up;
  for (const rules::Family family : rules::kFamilies) {
    // A kernel without IPv6 has nothing to compare; without a kernel, both are wanted.
    if (kernel != nullptr && family == rules::Family::kIpv6 && !model.environment().ipv6) continue;
    auto desired = model.dataplane(family).desired_ruleset(kernel);
    if (!desired) return std::unexpected(desired.error());
    look_up[static_cast<std::size_t>(family)] = std::move(desired->look_up);
    join(all, std::move(*desired));
  }
  all.look_up = [look_up = std::move(look_up)](const WalkTable& table, const rules::walk::WalkSet& set,
                                               const rules::walk::Bytes& key) -> rules::walk::Found {
    const rules::Family family =
        table.family == rules::walk::TableFamily::kIp ? rules::Family::kIpv4 : rules::Family::kIpv6;
    const auto& of_family = look_up[static_cast<std::size_t>(family)];
    return of_family ? of_family(table, set, key) : rules::walk::Found{};
  };
  return all;
}

void add_views(const dataplane::Model& model, ExplainContext& context) {
  context.guard = model.state().guard();
  for (const rules::Family family : rules::kFamilies) {
    const auto at = static_cast<std::size_t>(family);
    const auto& dataplane = model.dataplane(family);
    dataplane.for_each_view([&](const rules::ServicePortView& view) { context.views[at].push_back(&view); });
    context.node_port_addresses[at] = dataplane.node_options().node_port_addresses;
  }
}

bool uses_nfacct(const Ruleset& rules) {
  for (const WalkTable& table : rules.tables())
    for (const auto& [name, chain] : table.chains)
      for (const auto& rule : chain.rules)
        if (rule.model && std::ranges::any_of(rule.model->matches, [](const auto& match) {
              return std::holds_alternative<rules::NfacctMatch>(match);
            }))
          return true;
  return false;
}

bool shares_table(const Ruleset& some, const Ruleset& all) {
  return std::ranges::any_of(some.tables(), [&](const WalkTable& table) {
    return all.find(table.family, table.name, table.legacy) != nullptr;
  });
}

}  // namespace kubenatd::agent::explain
