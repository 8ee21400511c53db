#pragma once

#include <linux/netfilter/nf_tables.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "rules/walk/value.h"

/// What rules look at, as values: trees that a judge evaluates for one packet.
///
/// nf_tables' bytecode, the text of nft and the matches of x_tables all become these. Numbers of keys are the kernel's
/// (linux/netfilter/nf_tables.h), and so are the widths and the byte order of what they load.
namespace kubenatd::rules::walk {

struct Expression;
using ExpressionPtr = std::shared_ptr<const Expression>;

/// Bytes of a header. Offsets count from the start of that header.
struct Payload {
  enum class Base : std::uint8_t { kLink, kNetwork, kTransport, kInner };
  Base base = Base::kNetwork;
  std::uint16_t offset = 0;
  std::uint16_t size = 0;
  bool operator==(const Payload&) const = default;
};

struct Meta {  ///< NFT_META_*
  std::uint32_t key = NFT_META_MARK;
  bool operator==(const Meta&) const = default;
};

struct Ct {  ///< NFT_CT_*
  enum class Direction : std::uint8_t { kNone, kOriginal, kReply };
  std::uint32_t key = NFT_CT_STATE;
  Direction direction = Direction::kNone;
  bool operator==(const Ct&) const = default;
};

struct Fib {  ///< NFT_FIB_RESULT_*, NFTA_FIB_F_*
  std::uint32_t result = NFT_FIB_RESULT_ADDRTYPE;
  std::uint32_t flags = 0;
  bool operator==(const Fib&) const = default;
};

struct SocketField {  ///< NFT_SOCKET_*
  std::uint32_t key = 0;
  std::uint32_t level = 0;  ///< NFT_SOCKET_CGROUPV2
  bool operator==(const SocketField&) const = default;
};

struct RouteField {  ///< NFT_RT_*
  std::uint32_t key = 0;
  bool operator==(const RouteField&) const = default;
};

/// A part of an option or extension header; or, when `presence`, one byte that says whether it is there.
struct ExtensionHeader {
  std::uint32_t operation = NFT_EXTHDR_OP_IPV6;
  std::uint8_t type = 0;
  std::uint16_t offset = 0;
  std::uint16_t size = 0;
  bool presence = false;
  bool operator==(const ExtensionHeader&) const = default;
};

struct Constant {
  Bytes bytes;
  bool operator==(const Constant&) const = default;
};

struct Bits {  ///< (of & mask) ^ flip
  ExpressionPtr of;
  Bytes mask, flip;
};

struct BitsOfTwo {  ///< of OP other
  enum class Operation : std::uint8_t { kAnd, kOr, kXor };
  Operation operation = Operation::kXor;
  ExpressionPtr of, other;
};

struct Shift {  ///< of a number of four bytes in the host's order, as the kernel shifts
  ExpressionPtr of;
  bool left = false;
  std::uint32_t by = 0;
};

struct Swap {  ///< byteorder: each group of `unit` bytes (2, 4 or 8) is turned round
  ExpressionPtr of;
  std::uint8_t unit = 4;
};

/// Parts of a key, each filled up to a multiple of four bytes, as registers are.
struct Concat {
  std::vector<ExpressionPtr> parts;
};

struct Slice {  ///< some bytes of a longer value, for example the port behind an address that a map gave
  ExpressionPtr of;
  std::uint16_t offset = 0;
  std::uint16_t size = 0;
};

struct MapLookup {  ///< the data for a key in a map of the rule's own table
  ExpressionPtr key;
  std::string map;
  std::uint16_t size = 0;  ///< of the data
};

/// A number that is drawn anew for each packet, each from `offset` to `offset + modulus - 1` as likely as any other:
/// four bytes in the host's order (nft_numgen, nft_hash). Of a hash, the odds are those over all packets.
struct Draw {
  enum class Kind : std::uint8_t { kRandom, kRoundRobin, kHash };
  Kind kind = Kind::kRandom;
  std::uint32_t modulus = 1;
  std::uint32_t offset = 0;
  ExpressionPtr of;                                  ///< kHash of given values (jhash); none: of the packet (symhash)
  std::optional<std::uint32_t> seed = std::nullopt;  ///< of jhash; none: the kernel's own
};

struct Unread {  ///< something that was not understood; `text` names it
  std::string text;
  std::uint16_t size = 4;
  bool operator==(const Unread&) const = default;
};

struct Expression {
  std::variant<Payload, Meta, Ct, Fib, SocketField, RouteField, ExtensionHeader, Constant, Bits, BitsOfTwo, Shift, Swap,
               Concat, Slice, MapLookup, Draw, Unread>
      what;
};

template <class What>
[[nodiscard]] ExpressionPtr make(What what) {
  return std::make_shared<const Expression>(Expression{std::move(what)});
}

/// Whether both say the same, all the way down. Two null pointers do.
[[nodiscard]] bool same(const ExpressionPtr& one, const ExpressionPtr& other);

/// The expression as one of this kind; none: it is of another.
template <class What>
[[nodiscard]] const What* is(const ExpressionPtr& expression) {
  return expression ? std::get_if<What>(&expression->what) : nullptr;
}

}  // namespace kubenatd::rules::walk
