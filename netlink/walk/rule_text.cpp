#include "netlink/walk/rule_text.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "rules/address.h"
#include "rules/walk/nft/rule_print.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

constexpr std::size_t kInterfaceSize = 16;  // IFNAMSIZ
constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::uint16_t kTcpFlags = 13;  // where they are in its header
constexpr std::uint16_t kFragment = 6;   // in the header of IPv4
constexpr std::uint64_t kFragmentMask = 0x1fff;

std::string protocol_name(std::uint8_t number) {
  switch (number) {
    case 1: return "icmp";
    case kTcp: return "tcp";
    case kUdp: return "udp";
    case 33: return "dccp";
    case 50: return "esp";
    case 51: return "ah";
    case 58: return "ipv6-icmp";
    case 132: return "sctp";
    case 136: return "udplite";
    default: return std::to_string(number);
  }
}

std::string flag_names(std::uint8_t flags) {
  static constexpr std::array<std::string_view, 6> kNames{"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
  std::string text;
  for (std::size_t bit = 0; bit < kNames.size(); ++bit)
    if ((flags >> bit & 1U) != 0) text.append(text.empty() ? "" : ",").append(kNames[bit]);
  return text.empty() ? "NONE" : text;
}

/// Collects the options in iptables-save's order: addresses, interfaces, protocol, then all others as they come.
class Text {
 public:
  explicit Text(const WalkTable& table) : table_(table), four_(table.family == TableFamily::kIp) {}

  void statement(const Statement& statement) {
    if (const auto* const condition = std::get_if<Condition>(&statement); condition != nullptr && option(*condition))
      return;
    if (const auto* const verdict = std::get_if<ToVerdict>(&statement)) return verdict_option(*verdict);
    if (const auto* const unjudged = std::get_if<Unjudged>(&statement)) return other(unjudged->text);
    if (const auto* const nothing = std::get_if<NoEffect>(&statement)) return other(nothing->text);
    if (std::holds_alternative<OtherTarget>(statement)) return;  // named by the statement before
    other("[" + nft::to_text({statement}, table_) + "]");
  }
  void other(std::string_view text) {
    if (!text.empty()) others_.append(others_.empty() ? "" : " ").append(text);
  }
  [[nodiscard]] std::string take() {
    std::string text;
    for (const std::string& option : {source_, destination_, in_, out_, protocol_, fragment_, others_})
      if (!option.empty()) text.append(text.empty() ? "" : " ").append(option);
    return text;
  }

 private:
  /// False when iptables has no such option.
  bool option(const Condition& condition) {
    if (condition.ranges.size() != 1) return false;
    const Expression* left = condition.left.get();
    const auto* const bits = std::get_if<Bits>(&left->what);
    if (bits != nullptr) {
      if (std::ranges::any_of(bits->flip.view(), [](std::uint8_t byte) { return byte != 0; })) return false;
      left = bits->of.get();
    }
    const auto* const slice = std::get_if<Slice>(&left->what);
    if (slice != nullptr) {
      if (slice->offset != 0 || bits != nullptr) return false;
      left = slice->of.get();
    }
    const std::string inverted = condition.negate ? "! " : "";
    const auto& [first, last] = condition.ranges.front();
    if (const auto* const meta = std::get_if<Meta>(&left->what)) return this->meta(*meta, bits, inverted, first, last);
    if (const auto* const payload = std::get_if<Payload>(&left->what); payload != nullptr && slice == nullptr)
      return this->payload(*payload, bits, inverted, first, last);
    return false;
  }

  bool meta(const Meta& meta, const Bits* bits, const std::string& inverted, const Bytes& first, const Bytes& last) {
    if (first != last) return false;
    if (meta.key == NFT_META_MARK && first.size == sizeof(std::uint32_t)) {
      other(fmt::format("-m mark {}--mark {:#x}", inverted, first.as_host()));
      if (bits != nullptr) others_ += fmt::format("/{:#x}", bits->mask.as_host());
      return true;
    }
    if (bits != nullptr) return false;
    if (meta.key == NFT_META_IIFNAME) return interface(in_, "-i", inverted, first);
    if (meta.key == NFT_META_OIFNAME) return interface(out_, "-o", inverted, first);
    if (meta.key == NFT_META_L4PROTO) return protocol(inverted, first);
    return false;
  }

  static bool interface(std::string& option, std::string_view name, const std::string& inverted, const Bytes& value) {
    if (!option.empty()) return false;
    const auto* const begin = reinterpret_cast<const char*>(value.data.data());
    const std::string_view bytes(begin, value.size);
    const std::size_t end = bytes.find('\0');
    option = fmt::format("{}{} {}", inverted, name, bytes.substr(0, end));
    if (end == std::string_view::npos && bytes.size() < kInterfaceSize) option += '+';
    return true;
  }

  bool protocol(const std::string& inverted, const Bytes& value) {
    if (!protocol_.empty() || value.size != 1) return false;
    if (inverted.empty()) number_ = value.data[0];
    protocol_ = fmt::format("{}-p {}", inverted, protocol_name(value.data[0]));
    return true;
  }

  bool payload(const Payload& payload, const Bits* bits, const std::string& inverted, const Bytes& first,
               const Bytes& last) {
    if (payload.base == Payload::Base::kTransport) return transport(payload, bits, inverted, first, last);
    if (payload.base != Payload::Base::kNetwork || first != last) return false;
    const std::size_t size = four_ ? 4 : 16;
    if (payload.offset == (four_ ? 12 : 8) && payload.size <= size)
      return address(source_, "-s", bits, inverted, first);
    if (payload.offset == (four_ ? 16 : 24) && payload.size <= size)
      return address(destination_, "-d", bits, inverted, first);
    // iptables-nft earlier than 1.8.9 read the protocol from the header of IPv4.
    if (four_ && payload.offset == 9 && bits == nullptr) return protocol(inverted, first);
    if (four_ && payload.offset == kFragment && bits != nullptr && bits->mask.size == 2 &&
        bits->mask.as_network() == kFragmentMask && first.as_network() == 0 && fragment_.empty()) {
      fragment_ = inverted.empty() ? "! -f" : "-f";
      return true;
    }
    return false;
  }

  bool address(std::string& option, std::string_view name, const Bits* bits, const std::string& inverted,
               const Bytes& value) {
    if (!option.empty()) return false;
    const std::size_t size = four_ ? 4 : 16;
    std::array<std::uint8_t, 16> bytes{}, mask{};
    std::ranges::copy(value.view(), bytes.begin());
    std::fill_n(mask.begin(), value.size, std::uint8_t{0xff});
    if (bits != nullptr)
      std::ranges::copy(bits->mask.view().first(std::min<std::size_t>(16, bits->mask.size)), mask.begin());
    std::size_t length = 0;
    for (std::size_t i = 0; i < size && (i == 0 || length == i * 8); ++i)
      length += static_cast<std::size_t>(std::countl_one(mask[i]));
    std::array<std::uint8_t, 16> prefix{};
    for (std::size_t bit = 0; bit < length; ++bit) prefix[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
    option = fmt::format("{}{} {}/", inverted, name, text_of(bytes));
    option += mask == prefix ? std::to_string(length) : text_of(mask);
    return true;
  }

  [[nodiscard]] std::string text_of(const std::array<std::uint8_t, 16>& bytes) const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(four_ ? AF_INET : AF_INET6, bytes.data(), text.data(), text.size());
    return text.data();
  }

  bool transport(const Payload& payload, const Bits* bits, const std::string& inverted, const Bytes& first,
                 const Bytes& last) {
    if (number_ != kTcp && number_ != kUdp) return false;
    std::string option;
    if (payload.offset == kTcpFlags && payload.size == 1 && number_ == kTcp && first == last) {
      const std::uint8_t mask = bits != nullptr ? bits->mask.data[0] : 0xff;
      option = fmt::format("{}--tcp-flags {} {}", inverted, flag_names(mask), flag_names(first.data[0]));
    } else if ((payload.offset == 0 || payload.offset == 2) && payload.size == 2 && bits == nullptr) {
      option = fmt::format("{}--{} {}", inverted, payload.offset == 0 ? "sport" : "dport", first.as_network());
      if (first != last) option += fmt::format(":{}", last.as_network());
    } else {
      return false;
    }
    if (!loaded_) other("-m " + protocol_name(*number_));
    loaded_ = true;
    other(option);
    return true;
  }

  void verdict_option(const ToVerdict& verdict) {
    switch (verdict.verdict) {
      case Verdict::kAccept: return other("-j ACCEPT");
      case Verdict::kDrop: return other("-j DROP");
      case Verdict::kReturn: return other("-j RETURN");
      case Verdict::kQueue: return other("-j NFQUEUE");
      case Verdict::kQueueBypass: return other("-j NFQUEUE --queue-bypass");
      case Verdict::kJump: return other("-j " + verdict.chain);
      case Verdict::kGoto: return other("-g " + verdict.chain);
      case Verdict::kContinue:
      case Verdict::kStolen: break;
    }
  }

  const WalkTable& table_;
  bool four_;
  std::string source_, destination_, in_, out_, protocol_, fragment_, others_;
  std::optional<std::uint8_t> number_;  ///< of the protocol, when it is one
  bool loaded_ = false;                 ///< "-m tcp" stands there
};

}  // namespace

std::string iptables_text(const WalkRule& rule, const WalkTable& table,
                          const std::vector<ExpressionReader::XtText>& xt_texts) {
  Text text(table);
  auto xt = xt_texts.begin();
  for (std::size_t i = 0; i <= rule.statements.size();) {
    if (xt != xt_texts.end() && xt->first == i) {
      text.other(xt->text);
      i = xt->last;
      ++xt;
    } else if (i < rule.statements.size()) {
      text.statement(rule.statements[i++]);
    } else {
      break;
    }
  }
  return text.take();
}

}  // namespace kubenatd::netlink::walk
