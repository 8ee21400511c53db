#include "rules/walk/nft/value_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "rules/address.h"

namespace kubenatd::rules::walk::nft {
namespace {

std::string hexadecimal(const Bytes& bytes) {
  std::string text = "0x";
  for (const std::uint8_t byte : bytes.view()) text += fmt::format("{:02x}", byte);
  return text;
}

std::string duration_text(std::uint64_t milliseconds) {
  std::string text;
  const auto unit = [&](std::uint64_t size, std::string_view name) {
    if (milliseconds >= size) text += fmt::format("{}{}", milliseconds / size, name);
    milliseconds %= size;
  };
  unit(86'400'000, "d");
  unit(3'600'000, "h");
  unit(60'000, "m");
  unit(1'000, "s");
  unit(1, "ms");
  return text.empty() ? "0s" : text;
}

std::string address_text(const Bytes& bytes, Family family) {
  Address address{family, {}};
  std::copy_n(bytes.data.begin(), address.octets().size(), address.bytes.begin());
  return address.to_string();
}

std::string name_text(const Bytes& bytes) {
  const auto view = bytes.view();
  const auto end = std::ranges::find(view, 0);
  std::string text(view.begin(), end);
  if (end == view.end() && bytes.size < 16) text += '*';
  return fmt::format("\"{}\"", text);
}

std::string labels_text(const Bytes& bytes) {
  std::string text;
  for (unsigned bit = 0; bit < 8U * bytes.size; ++bit)
    if ((bytes.data[bit / 8] >> bit % 8 & 1U) != 0) text += fmt::format("{}{}", text.empty() ? "" : ",", bit);
  return text.empty() ? "0x0" : text;
}

std::string class_text(std::uint64_t id) {
  if (id == 0) return "none";
  if (id == 0xffffffff) return "root";
  return fmt::format("{:x}:{:x}", id >> 16U, id & 0xffffU);
}

}  // namespace

Bytes turned(const Bytes& bytes) {
  if constexpr (std::endian::native == std::endian::big) return bytes;
  Bytes other = bytes;
  std::reverse(other.data.begin(), other.data.begin() + other.size);
  return other;
}

std::uint64_t number_of(const Bytes& bytes, bool host_order) {
  return (host_order ? turned(bytes) : bytes).as_network();
}

std::optional<unsigned> prefix_length(const Bytes& mask) {
  unsigned bits = 0;
  bool ended = false;
  for (const std::uint8_t byte : mask.view()) {
    const unsigned ones = static_cast<unsigned>(std::countl_one(byte));
    if (ended ? byte != 0 : std::popcount(byte) != static_cast<int>(ones)) return std::nullopt;
    bits += ones;
    ended = ended || ones != 8;
  }
  return bits;
}

std::optional<std::string> bits_text(const Bytes& bytes, Type type, std::string_view between) {
  if (bytes.size > 8) return std::nullopt;
  std::uint64_t left = number_of(bytes, info_of(type).host_order);
  std::string text;
  // nft prints the lowest bit first.
  for (std::uint64_t bit = 1; left != 0; bit <<= 1U) {
    if ((left & bit) == 0) continue;
    left &= ~bit;
    const std::string_view name = symbol_name(type, bit);
    if (name.empty()) return std::nullopt;
    if (!text.empty()) text += between;
    text += name;
  }
  if (text.empty()) return std::nullopt;
  return text;
}

std::string value_text(const Bytes& bytes, Type type) {
  const TypeInfo& info = info_of(type);
  if (info.size != 0 && bytes.size != info.size && type != Type::kInterface && type != Type::kString)
    return hexadecimal(bytes);
  switch (type) {
    case Type::kUnknown: return hexadecimal(bytes);
    case Type::kAddress4: return address_text(bytes, Family::kIpv4);
    case Type::kAddress6: return address_text(bytes, Family::kIpv6);
    case Type::kEther: {
      std::string text;
      for (const std::uint8_t byte : bytes.view()) text += fmt::format("{}{:02x}", text.empty() ? "" : ":", byte);
      return text;
    }
    case Type::kInterface:
    case Type::kString: return name_text(bytes);
    default: break;
  }
  if (type == Type::kCtLabel) return labels_text(bytes);
  if (bytes.size > 8) return hexadecimal(bytes);
  const std::uint64_t number = number_of(bytes, info.host_order);
  switch (type) {
    case Type::kMark: return fmt::format("0x{:08x}", number);
    case Type::kClassId: return class_text(number);
    case Type::kTime: return duration_text(number);
    case Type::kHour: return fmt::format("\"{:02}:{:02}:{:02}\"", number / 3600, number / 60 % 60, number % 60);
    // By default nft names neither ports nor users.
    case Type::kPort:
    case Type::kUser:
    case Type::kGroup: return fmt::format("{}", number);
    default: break;
  }
  if (info.is_bits) {
    if (auto names = bits_text(bytes, type, ",")) return *std::move(names);
    return fmt::format("0x{:x}", number);
  }
  if (const std::string_view name = symbol_name(type, number); !name.empty())
    return type == Type::kDay ? fmt::format("\"{}\"", name) : std::string(name);
  if (type == Type::kDscp || type == Type::kEtherType) return fmt::format("0x{:0{}x}", number, bytes.size * 2);
  return fmt::format("{}", number);
}

std::string range_text(const Bytes& first, const Bytes& last, Type type) {
  if (first == last) return value_text(first, type);
  if (first.size != last.size) return fmt::format("{}-{}", value_text(first, type), value_text(last, type));
  // An interval of names is one of beginnings: "pod" and zeros up to "pod" and 0xff.
  if (type == Type::kInterface || type == Type::kString) {
    std::size_t same = 0;
    while (same < first.size && first.data[same] == last.data[same]) ++same;
    const auto tail = [&](const Bytes& bytes, std::uint8_t byte) {
      return std::ranges::all_of(bytes.view().subspan(same), [byte](std::uint8_t each) { return each == byte; });
    };
    if (tail(first, 0) && tail(last, 0xff)) return value_text(first.slice(0, same), type);
    return fmt::format("{}-{}", value_text(first, type), value_text(last, type));
  }
  if (type == Type::kAddress4 || type == Type::kAddress6) {
    Bytes mask = first;
    bool block = true;
    for (std::size_t i = 0; i < first.size; ++i) {
      mask.data[i] = static_cast<std::uint8_t>(~(first.data[i] ^ last.data[i]));
      block = block && (first.data[i] & static_cast<std::uint8_t>(~mask.data[i])) == 0;
    }
    const std::optional<unsigned> length = prefix_length(mask);
    if (block && length) return fmt::format("{}/{}", value_text(first, type), *length);
  }
  return fmt::format("{}-{}", value_text(first, type), value_text(last, type));
}

std::vector<Type> types_named(std::string_view names) {
  std::vector<Type> types;
  while (!names.empty()) {
    const std::size_t end = names.find(" . ");
    types.push_back(type_named(names.substr(0, end)));
    names = end == std::string_view::npos ? std::string_view() : names.substr(end + 3);
  }
  return types;
}

}  // namespace kubenatd::rules::walk::nft
