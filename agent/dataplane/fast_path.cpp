#include "agent/dataplane/fast_path.h"

#include <fmt/format.h>
#include <linux/if_arp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "agent/dataplane/kernel_features.h"
#include "agent/dataplane/trial.h"
#include "netlink/core/trial.h"
#include "netlink/nftables/codec.h"

namespace kubenatd::agent::dataplane {
namespace {

using rules::nftables::FastPath;
using Release = std::pair<int, int>;

constexpr Release kFirst{6, 1};
constexpr Release kFirstForUdp{6, 4};

/// What the first message asks that the kernel refuses because it lacks the whole.
bool is_absence(int code) {
  return code == ENOENT || code == EOPNOTSUPP || code == EINVAL;
}

std::string kernel_release() {
  utsname system{};
  return ::uname(&system) == 0 ? std::string(static_cast<const char*>(system.release)) : std::string();
}

bool is_routed(const netlink::host::Link& link) {
  return link.is_up && link.facts.type != ARPHRD_LOOPBACK && (link.master == 0 || link.master_kind == "vrf");
}

}  // namespace

FastPathSupport fast_path_of_release(std::string_view release) {
  Release has;
  const char* const end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, has.first);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.' ||
      std::from_chars(major.ptr + 1, end, has.second).ec != std::errc())
    return {.can = FastPath::kTcpAndUdp, .limit = {}};
  if (has < kFirst)
    return {.can = FastPath::kOff,
            .limit = fmt::format("it needs Linux {}.{}, and this is {}", kFirst.first, kFirst.second, release)};
  if (has < kFirstForUdp)
    return {.can = FastPath::kTcp,
            .limit = fmt::format("UDP needs Linux {}.{}", kFirstForUdp.first, kFirstForUdp.second)};
  return {.can = FastPath::kTcpAndUdp, .limit = {}};
}

rules::Result<FastPathSupport> find_fast_path(netlink::Socket& socket) {
  using namespace rules::nftables;
  namespace codec = netlink::nftables;
  constexpr rules::Family kFamily = rules::Family::kIpv4;
  FastPathSupport support = fast_path_of_release(kernel_release());
  if (support.can == FastPath::kOff) return support;
  const FlowtableSpec flowtable{.name = kFlowtable, .priority = 0};
  const Chain chain{.name = "fast-path", .hook = Hook::kNone, .nat = false, .priority = 0, .rules = {}};
  netlink::Batch table;
  codec::add_nft_flowtable(table, kFamily, flowtable);
  codec::add_nft_chain(table, kFamily, chain);
  codec::add_nft_rule(table, kFamily, chain.name, {.statements = {AddToFlowtable{}}, .comment = {}});
  netlink::Batch batch;
  netlink::add_dormant_table(batch, kFamily, kTrialName);
  batch.append(table.in_table(kTrialName));
  const auto tried = netlink::try_out(socket, batch);
  if (!tried) return std::unexpected(tried.error());
  for (const netlink::TriedMessage& message : *tried) {
    if (!message.refusal) continue;
    const KernelFeature* feature =
        message.features.size() == 1 ? find_kernel_feature(message.features.front()) : nullptr;
    if (feature == nullptr || feature->is_core() || !is_absence(message.refusal->code))
      return std::unexpected(rules::to_error(*message.refusal));
    return FastPathSupport{
        .can = FastPath::kOff,
        .limit = fmt::format("the kernel lacks {} (module {})", feature->option(kFamily), feature->module(kFamily))};
  }
  return support;
}

FastPathSupport find_fast_path() {
  auto socket = netlink::open_socket();
  if (socket)
    if (const auto found = find_fast_path(**socket)) return *found;
  return fast_path_of_release(kernel_release());
}

std::vector<config::Device> choose_devices(const std::vector<config::DevicePattern>& wanted,
                                           const std::map<std::string, netlink::host::Link>& links) {
  std::vector<config::Device> chosen;
  for (const auto& [name, link] : links) {
    const bool is_chosen = std::ranges::any_of(wanted, [&](const config::DevicePattern& pattern) {
      return pattern.is_auto() ? is_routed(link) : pattern.matches(name);
    });
    if (is_chosen) chosen.push_back({name, link.facts.index});
  }
  return chosen;
}

}  // namespace kubenatd::agent::dataplane
