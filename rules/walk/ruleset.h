#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/rule.h"
#include "rules/walk/statement.h"

/// All of a node's netfilter, of a kernel, a saved text or the desired state, for a walk of a packet. Pure.
namespace kubenatd::rules::walk {

struct Counters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// A rule of any writer.
struct WalkRule {
  std::vector<Statement> statements;
  std::string text;  ///< for people: as `iptables -S` (without -A CHAIN) or nft has it
  std::string comment;
  std::optional<Rule> model;  ///< of a rule of iptables' tables that rules::Rule can express: to compare with
  std::uint64_t handle = 0;   ///< 0: none (not from a kernel)
  std::optional<Counters> counters;
};

/// NFPROTO_*: which packets a table sees.
enum class TableFamily : std::uint8_t { kIp, kIp6, kInet, kNetdev, kBridge, kArp };
[[nodiscard]] std::string_view name_of(TableFamily family);  ///< "ip", "ip6", "inet", ...

enum class Hook : std::uint8_t { kIngress, kPrerouting, kInput, kForward, kOutput, kPostrouting, kEgress };
[[nodiscard]] std::string_view name_of(Hook hook);  ///< "prerouting", ...

/// Where a chain starts.
struct Base {
  enum class Type : std::uint8_t { kFilter, kNat, kRoute };
  Hook hook = Hook::kInput;
  Type type = Type::kFilter;
  std::int32_t priority = 0;
  bool policy_drop = false;
  std::vector<std::string> devices;  ///< kIngress, kEgress
};

struct WalkChain {
  std::string name;
  std::optional<Base> base;
  std::vector<WalkRule> rules;
  std::uint64_t handle = 0;
  /// Its rules were not read, and cannot be judged: a packet that comes here may do anything.
  bool unread = false;
};

/// An element of a set, or a range of them.
struct SetElement {
  Bytes first, last;                 ///< equal for a single one; concatenations: each part is a range of its own
  Bytes data;                        ///< of a map
  std::optional<ToVerdict> verdict;  ///< of a verdict map
  std::string comment;
  bool conditional = false;  ///< holds a limit, quota or the like: whether it fits cannot be judged
};

struct WalkSet {
  std::string name;
  std::vector<std::uint16_t> parts;  ///< bytes of each part of the key, without filling; one for a plain key
  std::uint16_t data_size = 0;       ///< of a map
  bool is_map = false;
  bool has_verdicts = false;
  bool interval = false;
  bool anonymous = false;
  /// Packets make elements in it, which end by themselves: who is in it depends on what came before.
  bool dynamic = false;
  /// All elements are in `elements`; false: they are asked for one by one (Ruleset::look_up), or cannot be known.
  bool complete = true;
  std::vector<SetElement> elements;
  std::optional<SetElement> catch_all;  ///< the element "*"
  std::string type;                     ///< the key's type in nft's words, for people; may be empty
  std::string data_type;                ///< of a map's data, the same way
};

/// The outcome of asking a kernel for one key.
struct Found {
  enum class Answer : std::uint8_t { kThere, kAbsent, kUnknown };
  Answer answer = Answer::kUnknown;
  SetElement element;  ///< kThere
};

struct WalkTable;

/// Chains of a table that has very many: each becomes a value when it is asked for, so that a walk costs what its
/// packet meets, and not what the table holds.
///
/// Threading: one thread, that of its Ruleset. Failure: a chain whose rules cannot be had is `unread`. Cost: a chain is
/// read once and then kept; a name that no chain has is looked up each time.
class ChainsOnDemand {
 public:
  ChainsOnDemand() = default;
  virtual ~ChainsOnDemand() = default;
  ChainsOnDemand(const ChainsOnDemand&) = delete;
  ChainsOnDemand& operator=(const ChainsOnDemand&) = delete;

  /// None: there is no such chain. What was found stays where it is.
  [[nodiscard]] const WalkChain* find(const WalkTable& table, std::string_view name);
  /// Whether there is a chain whose name begins so.
  [[nodiscard]] virtual bool has_like(std::string_view start) const = 0;

 protected:
  [[nodiscard]] virtual std::optional<WalkChain> read(const WalkTable& table, std::string_view name) = 0;

 private:
  std::map<std::string, WalkChain, std::less<>> read_;
};

struct WalkTable {
  TableFamily family = TableFamily::kIp;
  std::string name;
  bool dormant = false;
  bool legacy = false;       ///< of iptables-legacy: a rule set of its own, before or behind that of nf_tables
  std::uint64_t handle = 0;  ///< grows with each new table (6.18); 0: not known, the order in `tables` counts
  std::map<std::string, WalkChain, std::less<>> chains;  ///< all of them; beside `on_demand`, those of hooks
  std::shared_ptr<ChainsOnDemand> on_demand;  ///< the other chains of a large table; none: all are in `chains`
  std::map<std::string, WalkSet, std::less<>> sets;

  /// Of all chains.
  [[nodiscard]] const WalkChain* chain(std::string_view chain_name) const;
  [[nodiscard]] bool has_chain_like(std::string_view start) const;
  [[nodiscard]] bool has_rules() const;
  [[nodiscard]] const WalkSet* set(std::string_view set_name) const;
};

/// More rules than this in a table are worth chains on demand.
inline constexpr std::size_t kManyRules = 4000;
/// More elements than this in a set are asked for one by one.
inline constexpr std::size_t kManyElements = 512;

/// What could decide and was not looked at: "table raw of iptables-legacy", ...
struct NotLookedAt {
  std::string what;
  std::string why;
  bool operator==(const NotLookedAt&) const = default;
};

/// Tables of one node. Those of one address family and of both stand together; a walk takes what its packet meets.
///
/// Cost: every rule is a value here, but those of chains on demand. Use it to look at a state once, not to keep it.
class Ruleset {
 public:
  /// The table, made when it is not there. References stay good.
  WalkTable& table(TableFamily family, std::string_view name, bool legacy = false);
  [[nodiscard]] const WalkTable* find(TableFamily family, std::string_view name, bool legacy = false) const;
  [[nodiscard]] const std::deque<WalkTable>& tables() const { return tables_; }
  [[nodiscard]] std::deque<WalkTable>& tables() { return tables_; }
  /// Whether there is a table that packets of the family meet.
  [[nodiscard]] bool has(Family family) const;

  /// Asks for one key of a set that is not complete; none: nobody can be asked.
  std::function<Found(const WalkTable&, const WalkSet&, const Bytes& key)> look_up;
  /// Whether what is asked for only now is as it was when the rest was read; none: it cannot have changed.
  std::function<bool()> is_current;
  std::vector<NotLookedAt> not_looked_at;

 private:
  std::deque<WalkTable> tables_;
};

/// iptables' tables as base chains: "PREROUTING" of "raw" and so on; none for a chain that no hook starts at. `table`
/// is raw, mangle, nat, filter or security. Priorities as of linux/netfilter_ipv4.h.
[[nodiscard]] std::optional<Base> iptables_base(std::string_view table, std::string_view chain);
[[nodiscard]] bool is_iptables_table(std::string_view name);

}  // namespace kubenatd::rules::walk
