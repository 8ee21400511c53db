#include "netlink/walk/xt_layouts.h"
#include "netlink/walk/xt_part.h"

/// Matches that count packets, bytes or connections. What they say depends on all traffic before, so they cannot be
/// judged.
namespace kubenatd::netlink::walk {
namespace {

/// "5/min": `average` is the time between two packets, of which a second has `scale`.
std::string rate_text(std::uint64_t average, std::uint64_t scale) {
  if (average == 0) return "inf";
  const std::pair<std::uint64_t, std::string_view> units[] = {
      {scale * 86400, "day"}, {scale * 3600, "hour"}, {scale * 60, "min"}, {scale, "sec"}};
  std::size_t i = 1;
  for (; i < std::size(units); ++i)
    if (average > units[i].first || units[i].first / average < units[i].first % average) break;
  return fmt::format("{}/{}", units[i - 1].first / average, units[i - 1].second);
}

bool read_limit(const XtInfo& info, XtWriter& out) {
  const auto limit = info.as<layout::Limit>();
  if (!limit) return false;
  constexpr std::uint64_t kScale = 10000;
  constexpr std::uint32_t kUsualBurst = 5;
  out.say(false, "--limit {}", rate_text(limit->average, kScale));
  if (limit->burst != kUsualBurst) out.say(false, "--limit-burst {}", limit->burst);
  out.unjudged();
  return true;
}

/// What all revisions have.
struct Hashlimit {
  std::string_view name;
  std::uint64_t average = 0, burst = 0;
  std::uint32_t mode = 0, size = 0, most = 0, gc_interval = 0, expire = 0, interval = 0;
  unsigned source_mask = 0, destination_mask = 0;
};

template <class Layout>
Hashlimit common(const Layout& layout) {
  return {.name = text_of(layout.name),
          .average = layout.average,
          .burst = layout.burst,
          .mode = layout.mode,
          .size = layout.size,
          .most = layout.most,
          .gc_interval = layout.gc_interval,
          .expire = layout.expire,
          .interval = 0,
          .source_mask = layout.source_mask,
          .destination_mask = layout.destination_mask};
}

/// The time in milliseconds after which an entry ends when nothing else is said: that of one unit of the rate.
std::uint64_t usual_expiry(std::uint64_t average, std::uint64_t scale) {
  const std::string text = rate_text(average, scale);
  if (text.ends_with("sec")) return 1000;
  if (text.ends_with("min")) return 60000;
  if (text.ends_with("hour")) return 3600000;
  return 86400000;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMega = 1048576, kKilo = 1024;
  if (bytes >= kMega) return fmt::format("{}mb", bytes / kMega);
  if (bytes >= kKilo) return fmt::format("{}kb", bytes / kKilo);
  return fmt::format("{}b", bytes);
}

void write_hashlimit(const Hashlimit& limit, const XtInfo& info, XtWriter& out) {
  constexpr std::uint32_t kDestination = 1, kDestinationPort = 2, kSource = 4, kSourcePort = 8, kInvert = 16,
                          kBytes = 32, kRateMatch = 64, kUsualGc = 1000;
  const std::uint64_t scale = info.revision == 1 ? 10000 : 1000000;
  const std::string_view option = (limit.mode & kInvert) != 0 ? "above" : "upto";
  std::uint64_t usual = 1000;
  if ((limit.mode & kBytes) != 0) {
    // Of units of 16 bytes (XT_HASHLIMIT_BYTE_SHIFT), how many parts of a 32-bit number one costs.
    constexpr std::uint64_t kMost = 0xffffffff;
    const std::uint64_t units = limit.average == 0 ? kMost : kMost / limit.average;
    const std::uint64_t rate = (units == 0 ? 0 : units - 1) << 4U;
    out.say(false, "--hashlimit-{} {}/s", option, bytes_text(rate));
    if (limit.burst != 0) out.say(false, "--hashlimit-burst {}", bytes_text(rate * limit.burst));
    usual = limit.burst != 0 ? 60000 : 15000;
  } else {
    out.say(false, "--hashlimit-{} {} --hashlimit-burst {}", option, rate_text(limit.average, scale), limit.burst);
    usual = usual_expiry(limit.average, scale);
  }
  constexpr std::pair<std::uint32_t, std::string_view> kModes[] = {
      {kSource, "srcip"}, {kSourcePort, "srcport"}, {kDestination, "dstip"}, {kDestinationPort, "dstport"}};
  if ((limit.mode & 15U) != 0) out.say(false, "--hashlimit-mode {}", names_of(limit.mode & 15U, kModes));
  out.say(false, "--hashlimit-name {}", limit.name);
  if (limit.size != 0) out.say(false, "--hashlimit-htable-size {}", limit.size);
  if (limit.most != 0) out.say(false, "--hashlimit-htable-max {}", limit.most);
  if (limit.gc_interval != kUsualGc) out.say(false, "--hashlimit-htable-gcinterval {}", limit.gc_interval);
  if (limit.expire != usual) out.say(false, "--hashlimit-htable-expire {}", limit.expire);
  const unsigned whole = rules::bits_of(info.family);
  if (limit.source_mask != whole) out.say(false, "--hashlimit-srcmask {}", limit.source_mask);
  if (limit.destination_mask != whole) out.say(false, "--hashlimit-dstmask {}", limit.destination_mask);
  if ((limit.mode & kRateMatch) != 0) {
    out.say(false, "--hashlimit-rate-match");
    if (limit.interval != 1) out.say(false, "--hashlimit-rate-interval {}", limit.interval);
  }
  out.unjudged();
}

bool read_hashlimit(const XtInfo& info, XtWriter& out) {
  if (info.revision == 1) {
    const auto limit = info.as<layout::Hashlimit1>();
    if (limit) write_hashlimit(common(*limit), info, out);
    return limit.has_value();
  }
  if (info.revision == 2) {
    const auto limit = info.as<layout::Hashlimit2>();
    if (limit) write_hashlimit(common(*limit), info, out);
    return limit.has_value();
  }
  const auto limit = info.as<layout::Hashlimit3>();
  if (!limit) return false;
  Hashlimit whole = common(*limit);
  whole.interval = limit->interval;
  write_hashlimit(whole, info, out);
  return true;
}

bool read_connlimit(const XtInfo& info, XtWriter& out) {
  const auto limit = info.as<layout::Connlimit>();
  if (!limit) return false;
  const bool upto = (limit->flags & 1U) != 0;
  out.say(false, "--connlimit-{} {}", upto ? "upto" : "above", limit->limit);
  const std::string mask = mask_text(info.address(limit->mask));
  out.say(false, "--connlimit-mask {}", mask.empty() ? std::to_string(rules::bits_of(info.family)) : mask.substr(1));
  out.say(false, "{}", (limit->flags & 2U) != 0 ? "--connlimit-daddr" : "--connlimit-saddr");
  out.unjudged();
  return true;
}

bool read_quota(const XtInfo& info, XtWriter& out) {
  const auto quota = info.as<layout::Quota>();
  if (!quota) return false;
  out.say((quota->flags & 1U) != 0, "--quota {}", quota->quota);
  out.unjudged();
  return true;
}

bool read_cluster(const XtInfo& info, XtWriter& out) {
  const auto cluster = info.as<layout::Cluster>();
  if (!cluster) return false;
  out.say((cluster->flags & 1U) != 0, "--cluster-local-nodemask {:#010x}", cluster->node_mask);
  out.say(false, "--cluster-total-nodes {} --cluster-hash-seed {:#010x}", cluster->nodes, cluster->seed);
  out.unjudged();
  return true;
}

}  // namespace

std::span<const XtKind> limit_matches() {
  static constexpr XtKind kKinds[] = {{"limit", 0, 0, read_limit},
                                      {"hashlimit", 1, 3, read_hashlimit},
                                      {"connlimit", 0, 1, read_connlimit},
                                      {"quota", 0, 0, read_quota},
                                      {"cluster", 0, 0, read_cluster}};
  return kKinds;
}

}  // namespace kubenatd::netlink::walk
