#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/walk/nft/language.h"
#include "rules/walk/nft/value_read.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk::nft {

/// What a term loads from the packet, and how constants beside it are read.
struct Load {
  ExpressionPtr expression;
  Place place;
  std::vector<Load> parts;  ///< of a concatenation
  bool known = true;        ///< false: a part of it was not understood

  [[nodiscard]] static Load of(ExpressionPtr expression, Type type, std::uint16_t size) {
    return {std::move(expression), {type, size, 0}, {}, true};
  }
};

/// Turns terms into expressions for one rule. Keeps what the rule says of the packet's protocols: a field of another
/// header is preceded by the condition that nft makes of its name.
///
/// Threading: a value for one rule, one thread. Failure: what is not understood loads `Unread`. Cost: linear.
class Loader {
 public:
  Loader(WalkTable& table, std::vector<Statement>& statements);

  /// `beside`: what it is compared with, when that decides how it is loaded (an interface's number, "exists").
  [[nodiscard]] Load load(const Term& term, const Term* beside = nullptr);
  /// As the key of a set or map: numbers in network order when the set has ranges.
  [[nodiscard]] static ExpressionPtr key(const Load& load, bool interval);
  /// A constant, or what is loaded, for a place of that type.
  [[nodiscard]] ExpressionPtr value(const Term& term, const Place& place);
  /// What the map gives for the key; `data`: places of the data of an anonymous map.
  [[nodiscard]] ExpressionPtr look_up(const Term& map, const std::vector<Place>& data);
  /// The set or map on the right side: its name, and whether it has ranges; none: it is not there.
  struct Reference {
    std::string name;
    bool interval = false;
    std::uint16_t data_size = 0;
  };
  [[nodiscard]] std::optional<Reference> set(const Term& term, const Load& key, bool is_map,
                                             const std::vector<Place>& data);

  void need_network(Header header);
  void need_transport(std::uint8_t protocol);
  [[nodiscard]] std::optional<Header> network() const { return network_; }
  /// What a condition that was just added says of the protocols.
  void learn(const Condition& condition);
  [[nodiscard]] Part part_of(const ExpressionPtr& expression) const;

 private:
  Load payload(const Term& term);
  Load raw_payload(const Term& term);
  Load meta(const Term& term, const Term* beside);
  Load connection(const Term& term);
  Load fib(const Term& term, const Term* beside);
  Load socket(const Term& term);
  Load route(const Term& term);
  Load option(const Term& term);
  Load draw(const Term& term);
  Load binary(const Term& term);
  Load concat(const Term& term);
  void need(Header header);
  void add(const ExpressionPtr& left, const Bytes& value);

  WalkTable& table_;
  std::vector<Statement>& statements_;
  std::optional<Header> network_;
  std::optional<std::uint8_t> transport_;
  bool ether_ = false;
  int depth_ = 0;
};

[[nodiscard]] Load unread(std::string_view text, std::uint16_t size = 4);

}  // namespace kubenatd::rules::walk::nft
