#include "rules/walk/nft/value_read.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::size_t kNameSize = 16;
/// Terms are nested as deep as brackets are; the readers limit them, too.
constexpr int kMaxDepth = 64;

std::optional<Bytes> address(std::string_view text, std::uint16_t size) {
  std::array<std::uint8_t, 16> bytes{};
  const std::string terminated(text);
  if (inet_pton(size == 4 ? AF_INET : AF_INET6, terminated.c_str(), bytes.data()) != 1) return std::nullopt;
  return Bytes(std::span<const std::uint8_t>(bytes.data(), size));
}

std::optional<Bytes> ether(std::string_view text) {
  Bytes bytes;
  while (!text.empty() && bytes.size < 6) {
    const std::size_t end = std::min(text.find(':'), text.size());
    unsigned byte = 0;
    const auto [at, error] = std::from_chars(text.data(), text.data() + end, byte, 16);
    if (error != std::errc() || at != text.data() + end || byte > 0xff) return std::nullopt;
    bytes.data[bytes.size++] = static_cast<std::uint8_t>(byte);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (bytes.size != 6 || !text.empty()) return std::nullopt;
  return bytes;
}

/// "1h30m", "500ms", "5": milliseconds.
std::optional<std::uint64_t> duration(std::string_view text) {
  std::uint64_t all = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    std::uint64_t count = 0;
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || count > 0xffffffffU) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(at - text.data()));
    std::uint64_t unit = 1000;
    std::size_t length = 1;
    if (text.starts_with("ms")) {
      unit = 1;
      length = 2;
    } else if (text.starts_with('d')) {
      unit = 86'400'000;
    } else if (text.starts_with('h')) {
      unit = 3'600'000;
    } else if (text.starts_with('m')) {
      unit = 60'000;
    } else if (!text.empty() && !text.starts_with('s')) {
      return std::nullopt;
    }
    text.remove_prefix(std::min(length, text.size()));
    all += count * unit;
  }
  return all;
}

/// "1:2", hexadecimal, as tc has it.
std::optional<std::uint64_t> class_id(std::string_view text) {
  if (text == "none") return 0;
  if (text == "root") return 0xffffffff;
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return read_number(text);
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  const auto part = [](std::string_view digits, std::uint32_t& number) {
    if (digits.empty()) return true;
    const auto [at, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    return error == std::errc() && at == digits.data() + digits.size() && number <= 0xffff;
  };
  if (!part(text.substr(0, colon), major) || !part(text.substr(colon + 1), minor)) return std::nullopt;
  return major << 16U | minor;
}

Bytes number_bytes(std::uint64_t number, const Place& place) {
  const Bytes network = Bytes::network(number, std::min<std::size_t>(place.size, 8));
  return info_of(place.type).host_order ? turned(network) : network;
}

bool fits(std::uint64_t number, std::uint16_t size) {
  return size >= 8 || number >> (8U * size) == 0;
}

std::optional<Bytes> name(std::string_view text, std::uint16_t size) {
  if (text.size() >= kNameSize || size != kNameSize) return std::nullopt;
  Bytes bytes(text);
  bytes.append(Bytes::filled(kNameSize - text.size(), 0));
  return bytes;
}

std::optional<std::uint64_t> number_in(const Term& term, const Place& place) {
  const std::string_view text = term.text;
  // On which clock the tool told the time is not known.
  if ((place.type == Type::kHour || place.type == Type::kTimestamp) && text.find_first_of(":-") != std::string::npos)
    return std::nullopt;
  if (place.type == Type::kTime) return duration(text);
  if (place.type == Type::kClassId) return class_id(text);
  if (const auto value = symbol_value(place.type, text)) return value;
  if (place.type == Type::kBoolean || place.size == 1) {
    if (text == "true") return 1;
    if (text == "false") return 0;
  }
  return read_number(text);
}

std::optional<Bytes> shifted(std::optional<Bytes> bytes, unsigned by) {
  if (!bytes || by == 0) return bytes;
  if (bytes->size > 8) return std::nullopt;
  return Bytes::network(bytes->as_network() << by, bytes->size);
}

std::optional<Bytes> symbol(const Term& term, const Place& place) {
  switch (place.type) {
    case Type::kAddress4:
    case Type::kAddress6: return address(term.text, place.size);
    case Type::kEther: return ether(term.text);
    case Type::kInterface:
    case Type::kString: return name(term.text, place.size);
    case Type::kCtLabel: {
      const auto bit = read_number(term.text);
      if (!bit || *bit >= 128) return std::nullopt;
      Bytes bytes = Bytes::filled(16, 0);
      bytes.data[*bit / 8] = static_cast<std::uint8_t>(1U << *bit % 8);
      return bytes;
    }
    default: break;
  }
  if (place.size > 8) {
    const auto number = read_number(term.text);
    if (!number) return std::nullopt;
    Bytes bytes = Bytes::filled(place.size - 8U, 0);
    bytes.append(Bytes::network(*number, 8));
    return bytes;
  }
  const auto number = number_in(term, place);
  if (!number || !fits(*number << place.shift, place.size)) return std::nullopt;
  return shifted(number_bytes(*number, place), place.shift);
}

template <class Operation>
Bytes combined(Bytes one, const Bytes& other, Operation operation) {
  for (std::size_t i = 0; i < one.size && i < other.size; ++i)
    one.data[i] = static_cast<std::uint8_t>(operation(one.data[i], other.data[i]));
  return one;
}

std::optional<Bytes> value_at(const Term& term, const Place& place, int depth) {
  if (depth > kMaxDepth || place.size == 0) return std::nullopt;
  switch (term.kind) {
    case Term::Kind::kSymbol: return symbol(term, place);
    case Term::Kind::kList: {
      Bytes all = Bytes::filled(place.size, 0);
      for (const Term& part : term.parts) {
        const auto value = value_at(part, place, depth + 1);
        if (!value) return std::nullopt;
        all = combined(all, *value, [](unsigned one, unsigned other) { return one | other; });
      }
      return all;
    }
    case Term::Kind::kBinary: {
      if (term.parts.size() != 2) return std::nullopt;
      const auto one = value_at(term.parts[0], place, depth + 1);
      const auto other = value_at(term.parts[1], place, depth + 1);
      if (!one || !other) return std::nullopt;
      if (term.text == "&") return combined(*one, *other, [](unsigned left, unsigned right) { return left & right; });
      if (term.text == "|") return combined(*one, *other, [](unsigned left, unsigned right) { return left | right; });
      if (term.text == "^") return combined(*one, *other, [](unsigned left, unsigned right) { return left ^ right; });
      return std::nullopt;
    }
    default: return std::nullopt;
  }
}

/// What a type's range may end with, when it is written in one word ("1-5", "10.0.0.1-10.0.0.5", "10.0.0.0/8").
struct Split {
  enum class Kind : std::uint8_t { kOne, kPrefix, kRange, kBeginning } kind = Kind::kOne;
  Term first, last;
  std::uint64_t length = 0;
};

Split split(const Term& term, const Place& place) {
  if (term.kind == Term::Kind::kPrefix && term.parts.size() == 1)
    return {Split::Kind::kPrefix, term.parts[0], {}, term.number};
  if (term.kind == Term::Kind::kRange && term.parts.size() == 2)
    return {Split::Kind::kRange, term.parts[0], term.parts[1], 0};
  if (term.kind != Term::Kind::kSymbol) return {Split::Kind::kOne, term, {}, 0};
  const std::string& text = term.text;
  if (place.type == Type::kInterface || place.type == Type::kString) {
    if (text.ends_with('*') && !text.ends_with("\\*"))
      return {Split::Kind::kBeginning, Term::symbol(text.substr(0, text.size() - 1)), {}, 0};
    std::string plain = text;
    if (plain.ends_with("\\*")) plain.erase(plain.size() - 2, 1);
    return {Split::Kind::kOne, Term::symbol(std::move(plain)), {}, 0};
  }
  if (read_value(term, place)) return {Split::Kind::kOne, term, {}, 0};
  if (const std::size_t slash = text.find('/'); slash != std::string::npos) {
    const auto length = read_number(std::string_view(text).substr(slash + 1));
    if (length) return {Split::Kind::kPrefix, Term::symbol(text.substr(0, slash)), {}, *length};
  }
  for (std::size_t dash = text.find('-', 1); dash != std::string::npos; dash = text.find('-', dash + 1)) {
    Split parts{Split::Kind::kRange, Term::symbol(text.substr(0, dash)), Term::symbol(text.substr(dash + 1)), 0};
    if (read_value(parts.first, place) && read_value(parts.last, place)) return parts;
    // Longer words than that are no ranges.
    if (dash > 128) break;
  }
  return {Split::Kind::kOne, term, {}, 0};
}

}  // namespace

std::optional<std::uint64_t> read_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || at != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Bytes> read_value(const Term& term, const Place& place) {
  return value_at(term, place, 0);
}

bool is_range(const Term& term, const Place& place) {
  return split(term, place).kind != Split::Kind::kOne;
}

std::optional<std::pair<Bytes, Bytes>> read_range(const Term& term, const Place& place, bool turn) {
  if (term.kind == Term::Kind::kAny) return std::pair{Bytes::filled(place.size, 0), Bytes::filled(place.size, 0xff)};
  const bool turning = turn && info_of(place.type).host_order;
  const auto in_order = [&](const Bytes& bytes) { return turning ? turned(bytes) : bytes; };
  const Split parts = split(term, place);
  switch (parts.kind) {
    case Split::Kind::kOne: {
      const auto value = read_value(parts.first, place);
      if (!value) return std::nullopt;
      return std::pair{in_order(*value), in_order(*value)};
    }
    case Split::Kind::kBeginning: {
      if (parts.first.text.size() >= kNameSize || place.size != kNameSize) return std::nullopt;
      Bytes first(parts.first.text);
      Bytes last = first;
      first.append(Bytes::filled(kNameSize - first.size, 0));
      last.append(Bytes::filled(kNameSize - last.size, 0xff));
      return std::pair{first, last};
    }
    case Split::Kind::kPrefix: {
      const auto value = read_value(parts.first, place);
      if (!value || parts.length > 8U * place.size) return std::nullopt;
      Bytes first = in_order(*value);
      Bytes last = first;
      for (std::size_t bit = parts.length; bit < 8U * place.size; ++bit) {
        const auto mask = static_cast<std::uint8_t>(0x80U >> bit % 8);
        first.data[bit / 8] = static_cast<std::uint8_t>(first.data[bit / 8] & ~mask);
        last.data[bit / 8] = static_cast<std::uint8_t>(last.data[bit / 8] | mask);
      }
      return std::pair{first, last};
    }
    case Split::Kind::kRange: {
      const auto first = read_value(parts.first, place);
      const auto last = read_value(parts.last, place);
      if (!first || !last) return std::nullopt;
      return std::pair{in_order(*first), in_order(*last)};
    }
  }
  return std::nullopt;
}

}  // namespace kubenatd::rules::walk::nft
