#include "netlink/iptables/xt_layouts.h"
#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"
#include "rules/walk/xt/matches.h"

/// Matches of the transport header.
namespace kubenatd::netlink::walk {
namespace {

namespace xt = rules::walk::xt;
namespace known = iptables::xt;

void port_pair(XtWriter& out, bool is_source, std::uint16_t first, std::uint16_t last, bool negate) {
  if (first == 0 && last == 0xffff && !negate) return;
  out.say(negate, "--{} {}", is_source ? "sport" : "dport", range_text(first, last));
  out.add(xt::ports(is_source, {{first, last}}, negate));
}

std::string flag_names(std::uint8_t flags) {
  constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {{0x01, "FIN"}, {0x02, "SYN"}, {0x04, "RST"},
                                                                   {0x08, "PSH"}, {0x10, "ACK"}, {0x20, "URG"}};
  return flags == 0 ? "NONE" : names_of(flags, kNames);
}

bool read_tcp(const XtInfo& info, XtWriter& out) {
  const auto tcp = info.as<known::Tcp>();
  if (!tcp) return false;
  constexpr std::uint8_t kSource = 1, kDestination = 2, kFlags = 4, kOption = 8;
  port_pair(out, true, tcp->sources[0], tcp->sources[1], (tcp->invert & kSource) != 0);
  port_pair(out, false, tcp->destinations[0], tcp->destinations[1], (tcp->invert & kDestination) != 0);
  if (const bool negate = (tcp->invert & kOption) != 0; tcp->option != 0) {
    out.say(negate, "--tcp-option {}", tcp->option);
    out.add(xt::tcp_option(tcp->option, negate));
  }
  if (const bool negate = (tcp->invert & kFlags) != 0; tcp->flag_mask != 0 || negate) {
    out.say(negate, "--tcp-flags {} {}", flag_names(tcp->flag_mask), flag_names(tcp->flag_compare));
    out.add(xt::tcp_flags(tcp->flag_mask, tcp->flag_compare, negate));
  }
  return true;
}

bool read_udp(const XtInfo& info, XtWriter& out) {
  const auto udp = info.as<known::Udp>();
  if (!udp) return false;
  port_pair(out, true, udp->sources[0], udp->sources[1], (udp->invert & 1U) != 0);
  port_pair(out, false, udp->destinations[0], udp->destinations[1], (udp->invert & 2U) != 0);
  return true;
}

std::string chunk_name(std::uint8_t type) {
  constexpr std::pair<std::uint8_t, std::string_view> kNames[] = {
      {0, "DATA"},          {1, "INIT"},           {2, "INIT_ACK"},    {3, "SACK"},         {4, "HEARTBEAT"},
      {5, "HEARTBEAT_ACK"}, {6, "ABORT"},          {7, "SHUTDOWN"},    {8, "SHUTDOWN_ACK"}, {9, "ERROR"},
      {10, "COOKIE_ECHO"},  {11, "COOKIE_ACK"},    {12, "ECN_ECNE"},   {13, "ECN_CWR"},     {14, "SHUTDOWN_COMPLETE"},
      {64, "I_DATA"},       {128, "ASCONF_ACK"},   {130, "RE_CONFIG"}, {132, "PAD"},        {192, "FORWARD_TSN"},
      {193, "ASCONF"},      {194, "I_FORWARD_TSN"}};
  for (const auto& [number, name] : kNames)
    if (number == type) return std::string(name);
  return fmt::format("{:#06X}", type);
}

/// The flags that a rule asks of a chunk, each a letter: large when it must be set.
std::string chunk_flags(const known::Sctp& sctp, std::uint8_t type) {
  std::string_view letters = "--------";
  if (type == 0) letters = "----IUBE";
  if (type == 64) letters = "----IUBE";
  if (type == 6 || type == 14) letters = "-------T";
  for (std::size_t i = 0; i < sctp.flags_of_chunks.size() && i < sctp.flag_count; ++i) {
    const known::Sctp::Flag& flag = sctp.flags_of_chunks[i];
    if (flag.chunk_type != type || flag.mask == 0) continue;
    std::string text = ":";
    for (unsigned bit = 7; bit < 8; --bit) {
      if ((flag.mask >> bit & 1U) == 0) continue;
      const char letter = letters[7 - bit];
      const bool set = (flag.flag >> bit & 1U) != 0;
      text += set || letter == '-' ? letter : static_cast<char>(letter - 'A' + 'a');
    }
    return text;
  }
  return {};
}

bool read_sctp(const XtInfo& info, XtWriter& out) {
  const auto sctp = info.as<known::Sctp>();
  if (!sctp) return false;
  constexpr std::uint32_t kChunkTypes = 4;
  const auto negated = [&sctp](std::uint32_t flag) { return (sctp->invert & flag) != 0; };
  const auto ports = [&](bool is_source, std::uint32_t flag, const std::array<std::uint16_t, 2>& range) {
    if ((sctp->flags & flag) == 0) return;
    out.say(negated(flag), "--{} {}", is_source ? "sport" : "dport", range_text(range[0], range[1]));
    out.add(xt::ports(is_source, {{range[0], range[1]}}, negated(flag)));
  };
  ports(true, known::Sctp::kSourcePorts, sctp->sources);
  ports(false, known::Sctp::kDestinationPorts, sctp->destinations);
  if ((sctp->flags & kChunkTypes) == 0) return true;
  std::vector<std::uint8_t> types;
  for (unsigned type = 0; type < 256; ++type)
    if ((sctp->chunks[type / 32] >> (type % 32) & 1U) != 0) types.push_back(static_cast<std::uint8_t>(type));
  xt::Chunks kind = xt::Chunks::kAny;
  std::string_view word = "any";
  switch (sctp->chunk_match) {
    case 1: break;
    case 2:
      kind = xt::Chunks::kAll;
      word = "all";
      break;
    case 4:
      kind = xt::Chunks::kOnly;
      word = "only";
      break;
    default: return false;
  }
  out.say(negated(kChunkTypes), "--chunk-types {} ", word);
  if (types.empty()) {
    out.more("NONE");
  } else if (types.size() == 256) {
    out.more("ALL");
  } else {
    std::string_view between;
    for (const std::uint8_t type : types) {
      out.more("{}{}{}", between, chunk_name(type), chunk_flags(*sctp, type));
      between = ",";
    }
  }
  out.add(xt::sctp_chunks(kind, types, negated(kChunkTypes)));
  return true;
}

bool read_dccp(const XtInfo& info, XtWriter& out) {
  const auto dccp = info.as<layout::Dccp>();
  if (!dccp) return false;
  const auto negated = [&dccp](std::uint16_t flag) { return (dccp->invert & flag) != 0; };
  if ((dccp->flags & 1U) != 0) out.say(negated(1), "--sport {}", range_text(dccp->sources[0], dccp->sources[1]));
  if ((dccp->flags & 2U) != 0)
    out.say(negated(2), "--dport {}", range_text(dccp->destinations[0], dccp->destinations[1]));
  if ((dccp->flags & 4U) != 0) {
    constexpr std::pair<std::uint32_t, std::string_view> kTypes[] = {
        {1U << 0U, "REQUEST"}, {1U << 1U, "RESPONSE"}, {1U << 2U, "DATA"},    {1U << 3U, "ACK"},
        {1U << 4U, "DATAACK"}, {1U << 5U, "CLOSEREQ"}, {1U << 6U, "CLOSE"},   {1U << 7U, "RESET"},
        {1U << 8U, "SYNC"},    {1U << 9U, "SYNCACK"},  {1U << 10U, "INVALID"}};
    out.say(negated(4), "--dccp-types {}", names_of(dccp->types, kTypes));
  }
  if ((dccp->flags & 8U) != 0) out.say(negated(8), "--dccp-option {}", dccp->option);
  out.never();  // "-p dccp" stands before it
  return true;
}

bool read_icmp(const XtInfo& info, XtWriter& out, std::string_view option) {
  const auto icmp = info.as<layout::Icmp>();
  if (!icmp) return false;
  if (icmp->type == 0xff && info.family == rules::Family::kIpv4) {
    out.say(icmp->invert != 0, "{} any", option);
  } else {
    out.say(icmp->invert != 0, "{} {}", option, icmp->type);
    if (icmp->code[0] != 0 || icmp->code[1] != 0xff) out.more("/{}", icmp->code[0]);
  }
  out.never();  // nothing of ICMP is a connection to a Service
  return true;
}
bool read_icmp4(const XtInfo& info, XtWriter& out) {
  return read_icmp(info, out, "--icmp-type");
}
bool read_icmp6(const XtInfo& info, XtWriter& out) {
  return read_icmp(info, out, "--icmpv6-type");
}

bool read_multiport(const XtInfo& info, XtWriter& out) {
  const auto multiport = info.as<known::Multiport>();
  if (!multiport || multiport->count > multiport->ports.size() || multiport->flags > 2) return false;
  constexpr std::string_view kOptions[] = {"--sports", "--dports", "--ports"};
  xt::PortRanges ranges;
  std::string text;
  for (std::size_t i = 0; i < multiport->count; ++i) {
    const std::uint16_t first = multiport->ports[i];
    std::uint16_t last = first;
    if (!text.empty()) text += ',';
    text += std::to_string(first);
    if (multiport->ranges[i] != 0) {
      if (i + 1 == multiport->count) return false;
      last = multiport->ports[++i];
      text += ":" + std::to_string(last);
    }
    ranges.emplace_back(first, last);
  }
  const bool negate = multiport->invert != 0;
  out.say(negate, "{} {}", kOptions[multiport->flags], text);
  out.add(multiport->flags == 2 ? xt::either_port(ranges, negate) : xt::ports(multiport->flags == 0, ranges, negate));
  return true;
}

void spi_range(XtWriter& out, std::string_view option, std::uint32_t first, std::uint32_t last, bool negate) {
  if (first == 0 && last == 0xffffffff && !negate) return;
  out.say(negate, "{} {}", option, range_text(first, last));
}

bool read_spis(const XtInfo& info, XtWriter& out, std::string_view option) {
  const auto spis = info.as<layout::Spis>();
  if (!spis) return false;
  spi_range(out, option, spis->first, spis->last, (spis->invert & 1U) != 0);
  out.never();  // only of IPsec's own protocols
  return true;
}

bool read_esp(const XtInfo& info, XtWriter& out) {
  return read_spis(info, out, "--espspi");
}

bool read_ah(const XtInfo& info, XtWriter& out) {
  if (info.family == rules::Family::kIpv4) return read_spis(info, out, "--ahspi");
  const auto ah = info.as<layout::Ah6>();
  if (!ah) return false;
  spi_range(out, "--ahspi", ah->first, ah->last, (ah->invert & 1U) != 0);
  if (ah->length != 0 || (ah->invert & 2U) != 0) out.say((ah->invert & 2U) != 0, "--ahlen {}", ah->length);
  if (ah->reserved != 0) out.say(false, "--ahres");
  out.never();
  return true;
}

bool read_ipcomp(const XtInfo& info, XtWriter& out) {
  const auto ipcomp = info.as<layout::Ipcomp>();
  if (!ipcomp) return false;
  spi_range(out, "--ipcompspi", ipcomp->first, ipcomp->last, (ipcomp->invert & 1U) != 0);
  out.never();
  return true;
}

bool read_tcpmss(const XtInfo& info, XtWriter& out) {
  const auto mss = info.as<layout::TcpMssMatch>();
  if (!mss) return false;
  out.say(mss->invert != 0, "--mss {}", range_text(mss->first, mss->last));
  out.add(xt::tcp_segment_size(mss->first, mss->last, mss->invert != 0));
  return true;
}

}  // namespace

std::span<const XtKind> transport_matches() {
  static constexpr XtKind kKinds[] = {{"tcp", 0, 0, read_tcp},       {"udp", 0, 0, read_udp},
                                      {"udplite", 0, 0, read_udp},   {"sctp", 0, 0, read_sctp},
                                      {"dccp", 0, 0, read_dccp},     {"icmp", 0, 0, read_icmp4},
                                      {"icmp6", 0, 0, read_icmp6},   {"multiport", 1, 1, read_multiport},
                                      {"esp", 0, 0, read_esp},       {"ah", 0, 0, read_ah},
                                      {"ipcomp", 0, 0, read_ipcomp}, {"tcpmss", 0, 0, read_tcpmss}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
