#include "netlink/walk/registers.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "rules/walk/key_sizes.h"

namespace kubenatd::netlink::walk {
namespace {

using namespace rules::walk;

struct SizeOf {
  std::size_t operator()(const Payload& payload) const { return payload.size; }
  std::size_t operator()(const Meta& meta) const { return size_of_meta(meta.key); }
  std::size_t operator()(const Ct& ct) const { return size_of_ct(ct.key, 16); }
  std::size_t operator()(const Fib& fib) const { return size_of_fib(fib.result, fib.flags); }
  std::size_t operator()(const SocketField& socket) const { return size_of_socket(socket.key); }
  std::size_t operator()(const RouteField& route) const { return size_of_route(route.key); }
  std::size_t operator()(const ExtensionHeader& header) const { return header.presence ? 1 : header.size; }
  std::size_t operator()(const Constant& constant) const { return constant.bytes.size; }
  std::size_t operator()(const Bits& bits) const { return bits.mask.size; }
  std::size_t operator()(const BitsOfTwo& bits) const { return size_of(*bits.of); }
  std::size_t operator()(const Shift& /*shift*/) const { return sizeof(std::uint32_t); }
  std::size_t operator()(const Swap& swap) const { return size_of(*swap.of); }
  std::size_t operator()(const Concat& concat) const {
    std::size_t size = 0;
    for (const ExpressionPtr& part : concat.parts) size += filled_size(size_of(*part));
    return size;
  }
  std::size_t operator()(const Slice& slice) const { return slice.size; }
  std::size_t operator()(const MapLookup& map) const { return map.size; }
  std::size_t operator()(const Draw& /*draw*/) const { return sizeof(std::uint32_t); }
  std::size_t operator()(const Unread& unread) const { return unread.size; }
};

// A rule may have 128 expressions (NFT_RULE_MAXEXPRS), and each may take the value before it twice: written out, that
// grows without bounds. A rule of nft has some twenty parts.
constexpr std::size_t kMostParts = 500;

/// Takes the parts of a tree off `rest`; false when they are more.
bool count_parts(const ExpressionPtr& tree, std::size_t& rest);

struct CountParts {
  std::size_t& rest;
  bool operator()(const Bits& bits) const { return count_parts(bits.of, rest); }
  bool operator()(const BitsOfTwo& bits) const { return count_parts(bits.of, rest) && count_parts(bits.other, rest); }
  bool operator()(const Shift& shift) const { return count_parts(shift.of, rest); }
  bool operator()(const Swap& swap) const { return count_parts(swap.of, rest); }
  bool operator()(const Concat& concat) const {
    return std::ranges::all_of(concat.parts, [&](const ExpressionPtr& part) { return count_parts(part, rest); });
  }
  bool operator()(const Slice& slice) const { return count_parts(slice.of, rest); }
  bool operator()(const MapLookup& map) const { return count_parts(map.key, rest); }
  bool operator()(const Draw& draw) const { return draw.of == nullptr || count_parts(draw.of, rest); }
  bool operator()(const auto& /*leaf*/) const { return true; }
};

bool count_parts(const ExpressionPtr& tree, std::size_t& rest) {
  return rest != 0 && (--rest, std::visit(CountParts{rest}, tree->what));
}

ExpressionPtr slice(const ExpressionPtr& value, std::size_t offset, std::size_t size) {
  return make(Slice{value, static_cast<std::uint16_t>(offset), static_cast<std::uint16_t>(size)});
}

}  // namespace

std::size_t size_of(const Expression& expression) {
  return std::visit(SizeOf{}, expression.what);
}

std::size_t Registers::word_of(std::uint32_t number) {
  // A register of 16 bytes is four words; the first of them is that of the verdict.
  if (number >= NFT_REG_1 && number <= NFT_REG_4) return (number - NFT_REG_1) * (NFT_REG_SIZE / NFT_REG32_SIZE);
  if (number >= NFT_REG32_00 && number <= NFT_REG32_15) return number - NFT_REG32_00;
  return kWords;
}

void Registers::store(std::uint32_t number, ExpressionPtr value) {
  given_.clear();
  std::size_t parts = kMostParts;
  if (!count_parts(value, parts)) value = make(Unread{"value of too many parts", NFT_REG_SIZE});
  const std::size_t size = size_of(*value);
  const std::size_t first = word_of(number);
  const std::size_t last = std::min(kWords, first + filled_size(size) / NFT_REG32_SIZE);
  for (std::size_t word = first; word < last; ++word) words_[word] = {value, (word - first) * NFT_REG32_SIZE, size};
}

ExpressionPtr Registers::read(std::uint32_t number, std::size_t size) {
  const std::size_t word = word_of(number);
  size = std::min<std::size_t>(size, Bytes::kCapacity);
  ExpressionPtr& given = given_[{word, size}];
  if (given == nullptr) given = compose(word, size);
  return given;
}

ExpressionPtr Registers::read_value(std::uint32_t number) {
  const std::size_t word = word_of(number);
  if (word >= kWords || words_[word].value == nullptr) return read(number, NFT_REG32_SIZE);
  return read(number, words_[word].size - std::min(words_[word].size, words_[word].offset));
}

void Registers::forget(std::string cause) {
  words_ = {};
  given_.clear();
  unknown_ = std::move(cause);
}

ExpressionPtr Registers::compose(std::size_t word, std::size_t size) const {
  const auto unread = [&](std::size_t bytes) { return make(Unread{unknown_, static_cast<std::uint16_t>(bytes)}); };
  if (word >= kWords || size == 0 || filled_size(size) / NFT_REG32_SIZE > kWords - word) return unread(size);
  std::vector<ExpressionPtr> parts;
  std::size_t part_size = 0;  // of the last part
  for (std::size_t rest = size; rest != 0;) {
    const Word& begin = words_[word];
    if (begin.value == nullptr) {
      part_size = std::min<std::size_t>(rest, NFT_REG32_SIZE);
      parts.push_back(unread(part_size));
      rest -= part_size;
      ++word;
      continue;
    }
    std::size_t words = 1;
    while (words * NFT_REG32_SIZE < rest && word + words < kWords && words_[word + words].value == begin.value &&
           words_[word + words].offset == begin.offset + words * NFT_REG32_SIZE)
      ++words;
    const std::size_t available = begin.size - std::min(begin.size, begin.offset);
    part_size = std::min({available, rest, words * NFT_REG32_SIZE});
    const bool whole = begin.offset == 0 && part_size == begin.size;
    parts.push_back(whole ? begin.value : slice(begin.value, begin.offset, part_size));
    rest -= std::min(rest, words * NFT_REG32_SIZE);
    word += words;
  }
  if (parts.size() == 1 && part_size == size) return parts.front();
  // A value that is shorter than what is read has zeros behind it, as a part of a concatenation has.
  const ExpressionPtr whole = make(Concat{std::move(parts)});
  return size_of(*whole) == size ? whole : slice(whole, 0, size);
}

}  // namespace kubenatd::netlink::walk
