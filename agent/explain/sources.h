#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/dataplane/model.h"
#include "agent/explain/context.h"
#include "netlink/core/nf_tables.h"
#include "rules/error.h"
#include "rules/walk/ruleset.h"

/// Where the rules that a packet is walked through come from: saved texts, the kernel, the desired state.
namespace kubenatd::agent::explain {

/// How a saved text is written.
enum class SavedForm : std::uint8_t { kIptablesSave, kNft, kNftJson };

/// Told by its content: shell prompts and other lines around it do not matter. Pure.
[[nodiscard]] SavedForm form_of(std::string_view text);

/// Without a byte order mark, and with UTF-16 (as PowerShell writes it) as UTF-8; other text stays as it is. Pure.
[[nodiscard]] std::string as_utf8(std::string text);

struct SavedText {
  std::string name;  ///< of the file
  std::string text;
};

/// Joins texts of iptables-save, nft and nft -j, of one node. `remarks` gets what was left out or taken in part.
/// Failure: a text that cannot be read, or a table that two texts give. Pure. Cost: linear.
[[nodiscard]] rules::Result<rules::walk::Ruleset> read_saved_texts(const std::vector<SavedText>& texts,
                                                                   std::vector<std::string>& remarks);
/// The same of files. A file that is given twice is an error.
[[nodiscard]] rules::Result<rules::walk::Ruleset> read_saved_files(const std::vector<std::filesystem::path>& files,
                                                                   std::vector<std::string>& remarks);

/// All of this network namespace: everybody's tables of nf_tables, as netlink::walk::read_ruleset(), and those of
/// iptables-legacy.
[[nodiscard]] rules::Result<rules::walk::Ruleset> read_live_rules(std::size_t at_once);

/// What is wanted in every family that the node has; beside what others serve, when `kernel` is given.
[[nodiscard]] rules::Result<rules::walk::Ruleset> desired_rules(const dataplane::Model& model,
                                                                netlink::NfTables* kernel);

/// Fills in what is known of service ports and of where their NodePorts answer. The context points into the model,
/// which must not change. Cost: linear.
void add_views(const dataplane::Model& model, ExplainContext& context);

/// Whether any rule counts packets by nfnetlink_acct.
[[nodiscard]] bool uses_nfacct(const rules::walk::Ruleset& rules);

/// Whether a table of `some` is in `all`, too.
[[nodiscard]] bool shares_table(const rules::walk::Ruleset& some, const rules::walk::Ruleset& all);

}  // namespace kubenatd::agent::explain
