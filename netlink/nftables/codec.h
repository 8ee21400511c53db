#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/core/batch.h"
#include "rules/nftables/element.h"
#include "rules/nftables/ruleset.h"

/// Tables, sets, chains, rules and elements of nftables mode to netlink messages, and what the kernel answers back to
/// values. Pure; written as nft 1.0.6 reads it and as Linux 6.18 dumps it, so that both can be compared.
namespace kubenatd::netlink::nftables {

/// libnftnl's number of a comment in user data.
inline constexpr std::uint8_t kNftUserComment = 0;

/// `flags`: kTableOwner, ...; of a table that is there they are changed as far as the kernel lets them be. None: those
/// of a table that is there stay.
void add_nft_table(Batch& batch, rules::Family family, std::optional<std::uint32_t> flags = std::nullopt);
void delete_nft_table(Batch& batch, rules::Family family, std::string_view table);
void add_nft_set(Batch& batch, rules::Family family, const rules::nftables::SetSpec& set);
void delete_nft_set(Batch& batch, rules::Family family, std::string_view set);
/// Without devices; one that is there keeps its own.
void add_nft_flowtable(Batch& batch, rules::Family family, const rules::nftables::FlowtableSpec& flowtable);
void delete_nft_flowtable(Batch& batch, rules::Family family, std::string_view flowtable);
/// A device that it has already is no error; one that is not there is, ENOENT (until Linux 6.15: later ones wait for
/// it).
void add_flowtable_device(Batch& batch, rules::Family family, std::string_view flowtable, std::string_view device);
/// Needs Linux 5.8.
void remove_flowtable_device(Batch& batch, rules::Family family, std::string_view flowtable, std::string_view device);
void add_nft_chain(Batch& batch, rules::Family family, const rules::nftables::Chain& chain);
void delete_nft_chain(Batch& batch, rules::Family family, std::string_view chain);
void flush_nft_chain(Batch& batch, rules::Family family, std::string_view chain);
void add_nft_rule(Batch& batch, rules::Family family, std::string_view chain, const rules::nftables::NftRule& rule);

/// The expression of a set whose elements count.
inline constexpr std::string_view kCounter = "counter";

/// The last key of those that an element of ranges stands for.
[[nodiscard]] rules::nftables::Bytes<rules::nftables::kKeyCapacity> last_of(const rules::nftables::ElementKey& key);

/// Packs elements into as few messages as they fit in, a list for each set; or each into its own, for kernels that do
/// not say which element of a message they refuse.
///
/// Threading: one thread. Failure: none. Cost: one pass over each element. A list becomes a message when it is full or
/// at end(). To remove elements and add them again, use two writers, and call end() of the removing one first.
class ElementWriter {
 public:
  enum class Change : std::uint8_t { kAdd, kRemove };
  enum class Packing : std::uint8_t { kFull, kSingle };
  ElementWriter(Batch& batch, rules::Family family, Change change, Packing packing = Packing::kFull)
      : batch_(batch), family_(family), change_(change), packing_(packing) {}

  /// `value` does not count when removing.
  void write(const rules::nftables::ElementKey& key, const rules::nftables::ElementValue& value = {});
  void end();
  [[nodiscard]] std::size_t elements() const { return elements_; }

 private:
  void send(const rules::nftables::SetRef& set, std::string& list);

  Batch& batch_;
  rules::Family family_;
  Change change_;
  Packing packing_;
  std::map<rules::nftables::SetRef, std::string> lists_;
  std::size_t elements_ = 0;
};

/// The expressions of a rule (the content of NFTA_RULE_EXPRESSIONS).
[[nodiscard]] std::string encode_nft_expressions(const rules::nftables::NftRule& rule, rules::Family family);
/// Whether two lists of expressions say the same; attributes that are zero count as absent.
[[nodiscard]] bool same_expressions(std::string_view one, std::string_view other);
/// The comment in the user data of a rule, table or element; empty when there is none.
[[nodiscard]] std::string_view nft_comment(std::string_view user_data);

/// What the kernel says of a set.
struct LiveSet {
  std::string name;
  std::uint32_t flags = 0;
  std::uint32_t key_type = 0, key_length = 0;
  std::uint32_t data_type = 0, data_length = 0;
  std::uint32_t size = 0;
  bool counted = false;  ///< its elements have a counter each
  auto operator<=>(const LiveSet&) const = default;
};
[[nodiscard]] std::optional<LiveSet> read_nft_set(std::string_view attributes, std::string_view table);
/// What the kernel should say of `set`.
[[nodiscard]] LiveSet describe_nft_set(const rules::nftables::SetSpec& set, rules::Family family);

/// What the kernel says of a flowtable.
struct LiveFlowtable {
  std::string name;
  std::uint32_t hook = 0;
  std::int32_t priority = 0;
  std::uint32_t flags = 0;
  std::set<std::string> devices;
  [[nodiscard]] bool is_like(const rules::nftables::FlowtableSpec& wanted) const;
};
[[nodiscard]] std::optional<LiveFlowtable> read_nft_flowtable(std::string_view attributes, std::string_view table);

struct LiveNftChain {
  std::string name;
  std::optional<std::uint32_t> hook;
  std::int32_t priority = 0;
  std::string type;
  std::uint32_t policy = 1;
  auto operator<=>(const LiveNftChain&) const = default;
};
[[nodiscard]] std::optional<LiveNftChain> read_nft_chain(std::string_view attributes, std::string_view table);
[[nodiscard]] LiveNftChain describe_nft_chain(const rules::nftables::Chain& chain);

struct LiveNftRule {
  std::string_view chain, expressions, comment;
};
[[nodiscard]] std::optional<LiveNftRule> read_nft_rule(std::string_view attributes, std::string_view table);

/// Reads the elements of a message; a comment is a view into it.
struct LiveElement {
  rules::nftables::ElementKey key;
  rules::nftables::Bytes<rules::nftables::kDataCapacity> data;
  std::string_view comment;
  std::uint64_t packets = 0;  ///< as its counter says, if it has one
  /// Nothing but what we write: a key, perhaps a prefix of keys, and a counter; no verdict, flag, other expression,
  /// longer part or other range.
  bool plain = true;
};
/// One element; `attributes` is what NFTA_LIST_ELEM holds.
[[nodiscard]] LiveElement read_nft_element(std::string_view attributes, const rules::nftables::SetRef& set);
void read_nft_elements(std::string_view attributes, const rules::nftables::SetRef& set,
                       const std::function<void(const LiveElement&)>& visit);

}  // namespace kubenatd::netlink::nftables
