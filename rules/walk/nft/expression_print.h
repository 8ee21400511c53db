#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/walk/nft/told_protocols.h"

namespace kubenatd::rules::walk::nft {

/// An expression in words, and how its values are to be written.
struct Text {
  std::string words;
  Type type = Type::kUnknown;
  std::vector<Type> parts;  ///< of a concatenation
  bool turned = false;      ///< values have been turned into network order
  unsigned shift = 0;       ///< values are bits at their place in a field: so far from the right
};

/// What is compared with an expression, in the order in which its type is written.
[[nodiscard]] Bytes as_loaded(const Bytes& bytes, const Text& left);
/// An operand of & and |: names joined by "|", in brackets when there are more.
[[nodiscard]] std::string bit_value(const Bytes& bytes, const Text& left);
/// The bits of a field of a few bits, which `bytes` at `offset` hold, as its type wants them.
[[nodiscard]] std::string field_value(const Bytes& bytes, const Field& field, unsigned offset);

/// Expressions of a rule in nft's words.
///
/// Threading: for one rule, one thread. Failure: what has no name in nft is written by its place and bytes. Cost:
/// bounded; trees that are too deep or too large are cut with "...".
class ExpressionPrinter {
 public:
  /// Both must outlive it.
  ExpressionPrinter(const WalkTable& table, const ToldProtocols& told) : table_(table), told_(told) {}

  [[nodiscard]] Text expression(const ExpressionPtr& expression);
  [[nodiscard]] Text payload(const Payload& payload);
  /// The right side of a set: a constant is written as the left side's type wants it.
  [[nodiscard]] std::string value(const ExpressionPtr& of, Type type);
  /// A set by its name, or its elements when it has none of its own.
  [[nodiscard]] std::string set_text(const std::string& name, const Text& key, const std::vector<Type>& data_types);
  /// The first bytes of a field, as nft compares prefixes: the field.
  [[nodiscard]] const Field* beginning_of(const Payload& payload) const;
  /// The field of a few bits that the mask cuts out.
  [[nodiscard]] const Field* cut_out(const Payload& payload, const Bytes& mask) const;

 private:
  Text words(const Payload& what);
  Text words(const Meta& what);
  Text words(const Ct& what);
  Text words(const Fib& what);
  Text words(const SocketField& what);
  Text words(const RouteField& what);
  Text words(const ExtensionHeader& what);
  Text words(const Constant& what);
  Text words(const Bits& what);
  Text words(const BitsOfTwo& what);
  Text words(const Shift& what);
  Text words(const Swap& what);
  Text words(const Concat& what);
  Text words(const Slice& what);
  Text words(const MapLookup& what);
  Text words(const Draw& what);
  Text words(const Unread& what);

  const WalkTable& table_;
  const ToldProtocols& told_;
  int depth_ = 0;
  int steps_ = 0;
};

}  // namespace kubenatd::rules::walk::nft
