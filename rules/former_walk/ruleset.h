#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/rule.h"
#include "rules/text.h"

/// Rules as they are in a kernel, in a saved text or in the desired state, for a walk of a packet through them. Pure.
namespace kubenatd::rules::former_walk {

/// --sport, and forms of --dport that rules::PortMatch cannot express: ranges, lists, negated ones.
struct PortsMatch {
  bool source = false;
  bool negate = false;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ranges;  ///< first and last
};

struct Counters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// A rule of any writer. Parts that are understood are judged; other parts are kept as text.
struct WalkRule {
  Rule rule;
  std::vector<PortsMatch> ports;
  std::string never;                 ///< a part that no TCP, UDP or SCTP packet fits ("-p icmp")
  std::vector<std::string> unknown;  ///< parts that cannot be judged here ("-m limit --limit 3/min")
  std::string other_target;          ///< the text of the target, when Rule::target cannot express it
  std::string text;                  ///< as it was read; empty: to_text(rule)
  std::optional<Counters> counters;
};

/// What a target does to a walk when rules::Target cannot express it.
enum class OtherEffect : std::uint8_t {
  kNone,       ///< nothing that matters here (LOG, TRACE, ...): the next rule follows
  kMark,       ///< may change the mark (CONNMARK): the next rule follows
  kReject,     ///< REJECT with another answer than port-unreachable
  kSourceNat,  ///< SNAT: as MASQUERADE, with an address
  kUnknown,    ///< anything: the walk ends
};
[[nodiscard]] OtherEffect effect_of(std::string_view other_target);

struct WalkChain {
  Table table = Table::kFilter;
  std::string name;
  bool is_builtin = false;
  bool policy_drop = false;  ///< of a builtin chain
  std::vector<WalkRule> rules;
};

/// All chains of one family.
///
/// Cost: every rule is a value here. Use it to look at a state once, not to keep it.
class Ruleset {
 public:
  explicit Ruleset(Family family = Family::kIpv4) : family_(family) {}

  [[nodiscard]] Family family() const { return family_; }
  /// The chain, made when it is not there.
  WalkChain& chain(Table table, std::string_view name);
  [[nodiscard]] const WalkChain* find(Table table, std::string_view name) const;
  void for_each(const std::function<void(const WalkChain&)>& visit) const;
  [[nodiscard]] std::size_t chains() const;

 private:
  Family family_;
  std::array<std::map<std::string, WalkChain, std::less<>>, 3> tables_;
};

/// The text to show: as the rule was read, or made from the model.
[[nodiscard]] std::string text_of(const WalkRule& rule, Family family);

/// Makes a rule for a walk from a rule of the model. An opaque one cannot be judged.
[[nodiscard]] WalkRule walk_rule(Rule rule);

/// Adds the chains of a table.
void add_table(Ruleset& ruleset, const TableText& table);

/// True for the chains that a hook of the table starts at.
[[nodiscard]] bool is_builtin_name(Table table, std::string_view name);

}  // namespace kubenatd::rules::former_walk
