#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "rules/walk/expression.h"
#include "rules/walk/ruleset.h"

/// nft's names for what the kernel has numbers for: fields of headers, keys, types of values and their constants.
///
/// Tables, for the reader and the printer alike. Facts are of nft 1.0.6 and linux/netfilter/nf_tables.h (6.18).
namespace kubenatd::rules::walk::nft {

/// How the bytes of a value are written, and in which order they are kept.
enum class Type : std::uint8_t {
  kUnknown,
  kInteger,      ///< network order
  kHostInteger,  ///< host order, written in decimal
  kAddress4,
  kAddress6,
  kEther,
  kProtocol,
  kPort,
  kMark,
  kInterface,
  kInterfaceIndex,
  kInterfaceType,
  kInterfaceGroup,
  kCtState,
  kCtStatus,
  kCtDirection,
  kCtLabel,
  kCtEvent,
  kAddressType,
  kPacketType,
  kIcmpType,
  kIcmpCode,
  kIcmpv6Type,
  kIcmpv6Code,
  kIgmpType,
  kTcpFlags,
  kDscp,
  kEcn,
  kFamily,
  kEtherType,
  kArpOperation,
  kTime,       ///< milliseconds
  kTimestamp,  ///< nanoseconds since 1970
  kDay,
  kHour,  ///< seconds of the day
  kClassId,
  kUser,
  kGroup,
  kRealm,
  kBoolean,
  kString,
  kCgroup,
  kDccpType,
  kMobilityType,
};

struct TypeInfo {
  Type type;
  std::string_view name;  ///< in a set's "type"
  std::uint8_t size;      ///< 0: depends on what is looked at
  bool host_order;
  bool is_bits;  ///< "new,established" are bits of one number
};
[[nodiscard]] const TypeInfo& info_of(Type type);
[[nodiscard]] Type type_named(std::string_view name);  ///< kUnknown: none

/// A constant's name; values in the type's own number.
struct Symbol {
  std::string_view name;
  std::uint64_t value;
};
/// The first of equal values is the one that nft prints.
[[nodiscard]] std::span<const Symbol> symbols_of(Type type);
[[nodiscard]] std::optional<std::uint64_t> symbol_value(Type type, std::string_view name);
[[nodiscard]] std::string_view symbol_name(Type type, std::uint64_t value);  ///< empty: none

/// A protocol whose header nft knows.
enum class Header : std::uint8_t {
  kEther,
  kVlan,
  kArp,
  kIp,
  kIp6,
  kIcmp,
  kIcmpv6,
  kIgmp,
  kTcp,
  kUdp,
  kUdplite,
  kDccp,
  kSctp,
  kAh,
  kEsp,
  kComp,
  kTh,  ///< whatever the transport protocol is
};
struct HeaderInfo {
  Header header;
  std::string_view name;
  Payload::Base base;
  std::uint8_t protocol;     ///< of the IP header; 0: none
  std::uint16_t ether_type;  ///< 0: none
};
[[nodiscard]] std::span<const HeaderInfo> headers();
[[nodiscard]] const HeaderInfo& info_of(Header header);
[[nodiscard]] const HeaderInfo* header_named(std::string_view name);

/// A part of a header; offset and size in bits.
struct Field {
  Header header;
  std::string_view name;
  std::uint16_t offset;
  std::uint16_t bits;
  Type type;
};
[[nodiscard]] std::span<const Field> fields();
[[nodiscard]] const Field* field_named(Header header, std::string_view name);

/// A key of meta, ct, rt, socket: its number, its type and its size in bytes.
struct Key {
  std::string_view name;
  std::uint32_t number;
  Type type;
  std::uint8_t size;
};
[[nodiscard]] std::span<const Key> meta_keys();
[[nodiscard]] std::span<const Key> ct_keys();
[[nodiscard]] std::span<const Key> rt_keys();
[[nodiscard]] std::span<const Key> socket_keys();
[[nodiscard]] const Key* key_named(std::span<const Key> keys, std::string_view name);
[[nodiscard]] const Key* key_numbered(std::span<const Key> keys, std::uint32_t number);

/// Names of hooks' priorities ("dstnat", "filter", "raw"): those of bridge differ.
[[nodiscard]] std::optional<std::int32_t> priority_named(std::string_view name, TableFamily family);

/// An option of TCP, IPv4 or SCTP, or a field of an extension header of IPv6.
struct OptionField {
  std::uint32_t operation;  ///< NFT_EXTHDR_OP_*
  std::string_view option;
  std::uint8_t type;
  std::string_view name;
  std::uint16_t offset, bits;
  Type value = Type::kInteger;
};
[[nodiscard]] std::span<const OptionField> option_fields();

/// The answers of reject: as iptables names them, which Refuse::with has, and as nft does ("icmp", "port-unreachable").
/// Those of "icmpx" fit both families; iptables has none.
struct Answer {
  std::string_view name;    ///< "icmp-port-unreachable", "icmpx-no-route"
  std::string_view family;  ///< "icmp", "icmpv6", "icmpx"
  std::string_view code_name;
  std::uint8_t code;
};
[[nodiscard]] std::span<const Answer> answers();

}  // namespace kubenatd::rules::walk::nft
