#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "rules/walk/expression.h"

namespace kubenatd::netlink::walk {

/// Bytes of whole registers that `size` bytes take.
[[nodiscard]] constexpr std::size_t filled_size(std::size_t size) {
  return (size + 3) / 4 * 4;
}

/// The bytes that an expression gives. An expression of a hostile rule gives no more than it says.
[[nodiscard]] std::size_t size_of(const rules::walk::Expression& expression);

/// nf_tables' registers while a rule is read: what was loaded into each of the 16 words, as expressions.
///
/// The kernel fills a value up to whole words with zeros (nft_payload_eval, nft_reg_store8, ..., 6.18), and so does
/// Concat. Threading: a value, one thread. Failure: none; what was never written, or lies outside, reads as Unread.
/// Cost: a read makes at most one expression for each value that it touches.
class Registers {
 public:
  static constexpr std::size_t kWords = 16;

  /// The first word of a register by its number in a message (NFT_REG_*); kWords for one that is none.
  [[nodiscard]] static std::size_t word_of(std::uint32_t number);

  void store(std::uint32_t number, rules::walk::ExpressionPtr value);
  /// `size` bytes. The same bytes give the same pointer, until something is stored.
  [[nodiscard]] rules::walk::ExpressionPtr read(std::uint32_t number, std::size_t size);
  /// The whole value that starts there.
  [[nodiscard]] rules::walk::ExpressionPtr read_value(std::uint32_t number);
  /// From here on nothing is known, because of `cause`.
  void forget(std::string cause);

 private:
  struct Word {
    rules::walk::ExpressionPtr value;
    std::size_t offset = 0;  ///< of this word in the value
    std::size_t size = 0;    ///< of the value
  };
  [[nodiscard]] rules::walk::ExpressionPtr compose(std::size_t word, std::size_t size) const;

  std::array<Word, kWords> words_{};
  std::map<std::pair<std::size_t, std::size_t>, rules::walk::ExpressionPtr> given_;
  std::string unknown_ = "register that was not loaded";
};

}  // namespace kubenatd::netlink::walk
