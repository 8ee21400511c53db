#include "agent/config/kube_proxy_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/base/printable.h"
#include "agent/config/bind_address.h"
#include "agent/config/duration.h"
#include "agent/config/go_values.h"
#include "rules/address.h"
#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

using enum KubeProxyFlag::Kind;
using enum KubeProxyFlag::Meaning;
using enum KubeProxyFlag::Zero;

constexpr std::string_view kIpvs = "Of ipvs mode, which is not here";
constexpr std::string_view kLogBuffer = "Of kube-proxy's log buffers";
constexpr std::string_view kSplit =
    "All but errors goes to standard output; needs the feature gate LoggingAlphaOptions";
constexpr std::string_view kNotThrottled = "Watches are few and not held back; retries have delays of their own";
constexpr std::string_view kMachine = "Of cAdvisor, which kube-proxy is linked with";
constexpr std::string_view kOldLog = "Of kube-proxy's log before v1.26";

constexpr auto kFlags = std::to_array<KubeProxyFlag>({
    {"feature-gates", kGates, "featureGates", kNowhere, "Kubernetes' feature gates; any name is accepted"},
    {"kubeconfig", kText, "clientConnection.kubeconfig", kEverywhere, "How to reach the API server"},
    {"kube-api-content-type", kText, "clientConnection.contentType", kEverywhere,
     "How the API server sends objects: application/vnd.kubernetes.protobuf or application/json", kKept},
    {"kube-api-burst", kNumber, "clientConnection.burst", kNowhere, kNotThrottled, kKept},
    {"kube-api-qps", kFloat, "clientConnection.qps", kNowhere, kNotThrottled, kKept},
    {"bind-address", kAddress, "bindAddress", kEverywhere,
     "The node's address of that family, instead of its Node's; 0.0.0.0 and ::, the Node's"},
    {"healthz-bind-address", kEndpoint, "healthzBindAddress", kRun, "IP or IP:port of the health check server"},
    {"metrics-bind-address", kEndpoint, "metricsBindAddress", kRun, "IP or IP:port of the metrics server"},
    {"bind-address-hard-fail", kBool, "bindAddressHardFail", kRun, "Exit when a server's port cannot be had"},
    {"profiling", kBool, "enableProfiling", kNowhere, "There is no /debug/pprof"},
    {"show-hidden-metrics-for-version", kText, "showHiddenMetricsForVersion", kNowhere, "No metric is hidden"},
    {"proxy-mode", kText, "mode", kEverywhere, "iptables or nftables"},
    {"iptables-masquerade-bit", kNumber, "iptables.masqueradeBit", kEverywhere,
     "iptables mode: bit of the packet mark that says \"masquerade\", 0 to 31"},
    {"masquerade-all", kBool, "iptables.masqueradeAll", kEverywhere,
     "Masquerade all traffic to cluster IPs, in either mode"},
    {"iptables-localhost-nodeports", kBool, "iptables.localhostNodePorts", kEverywhere,
     "iptables mode: NodePorts on 127.0.0.0/8, too"},
    {"iptables-sync-period", kDuration, "iptables.syncPeriod", kRun,
     "When given: full comparisons with the kernel at least as often, in either mode", kRefused},
    {"iptables-min-sync-period", kDuration, "iptables.minSyncPeriod", kRun,
     "Least time between writes to the kernel, in either mode; not waited for unless it is given", kKept},
    {"ipvs-sync-period", kDuration, "ipvs.syncPeriod", kNowhere, kIpvs},
    {"ipvs-min-sync-period", kDuration, "ipvs.minSyncPeriod", kNowhere, kIpvs},
    {"ipvs-scheduler", kText, "ipvs.scheduler", kNowhere, kIpvs},
    {"ipvs-exclude-cidrs", kList, "ipvs.excludeCIDRs", kNowhere, kIpvs},
    {"ipvs-strict-arp", kBool, "ipvs.strictARP", kNowhere, kIpvs},
    {"ipvs-tcp-timeout", kDuration, "ipvs.tcpTimeout", kNowhere, kIpvs},
    {"ipvs-tcpfin-timeout", kDuration, "ipvs.tcpFinTimeout", kNowhere, kIpvs},
    {"ipvs-udp-timeout", kDuration, "ipvs.udpTimeout", kNowhere, kIpvs},
    {"detect-local-mode", kText, "detectLocalMode", kEverywhere,
     "What tells Pods of this node: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix"},
    {"pod-bridge-interface", kText, "detectLocal.bridgeInterface", kEverywhere, "The bridge of BridgeInterface"},
    {"pod-interface-name-prefix", kText, "detectLocal.interfaceNamePrefix", kEverywhere,
     "The prefix of InterfaceNamePrefix"},
    {"cluster-cidr", kText, "clusterCIDR", kEverywhere,
     "Addresses of the cluster's Pods: one CIDR, or two with a comma, one of each family"},
    {"nodeport-addresses", kList, "nodePortAddresses", kEverywhere,
     "Addresses of the node that have NodePorts: CIDRs, primary, localhost, all. Default: all, in nftables mode "
     "primary"},
    {"oom-score-adj", kNumber, "oomScoreAdj", kRun, "oom_score_adj of the process, -1000 to 1000"},
    {"conntrack-max-per-core", kNumber, "conntrack.maxPerCore", kRun,
     "Connections that the kernel tracks, for each CPU; 0: as it is"},
    {"conntrack-min", kNumber, "conntrack.min", kRun, "At least so many connections"},
    {"conntrack-tcp-timeout-established", kDuration, "conntrack.tcpEstablishedTimeout", kRun,
     "After which an idle TCP connection is forgotten; 0: as it is"},
    {"conntrack-tcp-timeout-close-wait", kDuration, "conntrack.tcpCloseWaitTimeout", kRun,
     "The same of one in CLOSE_WAIT"},
    {"conntrack-tcp-be-liberal", kBool, "conntrack.tcpBeLiberal", kEverywhere,
     "Let TCP packets outside the window pass, and write no rule that drops them"},
    {"conntrack-udp-timeout", kDuration, "conntrack.udpTimeout", kRun,
     "After which a UDP flow without an answer is forgotten; 0: as it is"},
    {"conntrack-udp-timeout-stream", kDuration, "conntrack.udpStreamTimeout", kRun, "The same of one with answers"},
    {"config-sync-period", kDuration, "configSyncPeriod", kRun, "Accepted: watches need no reading again", kRefused},
    {"v", kVerbosity, "logging.verbosity", kEverywhere,
     "How much is logged, by klog's levels. Without a number, or as --verbose: more than by default"},
    {"logging-format", kText, "logging.format", kEverywhere, "text or json", kRefused},
    {"log-flush-frequency", kDuration, "logging.flushFrequency", kRun, "Accepted: every line is written at once",
     kRefused},
    {"vmodule", kPatterns, "logging.vmodule", kNowhere, "Verbosity of single source files of kube-proxy"},
    {"log-text-split-stream", kBool, "logging.options.text.splitStream", kRun, kSplit},
    {"log-text-info-buffer-size", kQuantity, "logging.options.text.infoBufferSize", kNowhere, kLogBuffer},
    {"log-json-split-stream", kBool, "logging.options.json.splitStream", kRun, kSplit},
    {"log-json-info-buffer-size", kQuantity, "logging.options.json.infoBufferSize", kNowhere, kLogBuffer},
    {"boot-id-file", kText, "", kNowhere, kMachine},
    {"machine-id-file", kText, "", kNowhere, kMachine},
    // kube-proxy v1.36 does not have the following any more.
    {"proxy-port-range", kText, "portRange", kNowhere, "Of the userspace mode before v1.26"},
    {"logtostderr", kBool, "", kNowhere, kOldLog},
    {"alsologtostderr", kBool, "", kNowhere, kOldLog},
    {"stderrthreshold", kText, "", kNowhere, kOldLog},
    {"log-backtrace-at", kText, "", kNowhere, kOldLog},
    {"log-dir", kText, "", kNowhere, kOldLog},
    {"log-file", kText, "", kNowhere, kOldLog},
    {"log-file-max-size", kText, "", kNowhere, kOldLog},
    {"add-dir-header", kBool, "", kNowhere, kOldLog},
    {"one-output", kBool, "", kNowhere, kOldLog},
    {"skip-headers", kBool, "", kNowhere, kOldLog},
    {"skip-log-headers", kBool, "", kNowhere, kOldLog},
});

std::optional<std::string> wrong_gates(const std::string& text) {
  for (const std::string_view part : rules::split(text, ',')) {
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos || !parse_go_bool(base::trimmed(part.substr(equals + 1))))
      return base::in_quotes(part) + " is not NAME=true or NAME=false";
  }
  return std::nullopt;
}

std::optional<std::string> wrong_patterns(const std::string& text) {
  for (const std::string_view part : rules::split(text, ',')) {
    if (part.empty()) continue;
    const auto sides = rules::split(part, '=');
    if (sides.size() != 2 || sides[0].empty() || !parse_go_verbosity(sides[1]))
      return base::in_quotes(part) + " is not PATTERN=N";
  }
  return std::nullopt;
}

/// "10.0.0.1", "10.0.0.1:80", "[::1]:80"; port 0 is left to the configuration's check.
bool is_endpoint(const std::string& text) {
  if (rules::Address::parse(text)) return true;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  const std::string_view port = std::string_view(text).substr(colon + 1);
  if (port.starts_with('+')) return false;  // the file's field takes that
  const bool is_zero = !port.empty() && port.find_first_not_of('0') == std::string_view::npos;
  return parse_bind_address(is_zero ? text.substr(0, colon) + ":1" : text).has_value();
}

std::optional<std::string> unless(bool fine, const char* wrong) {
  if (fine) return std::nullopt;
  return wrong;
}

}  // namespace

std::span<const KubeProxyFlag> kube_proxy_flags() {
  return kFlags;
}

std::optional<std::string> wrong_with(KubeProxyFlag::Kind kind, const std::string& text) {
  switch (kind) {
    case kText: break;
    case kNumber:
      if (const auto number = parse_go_int(text, 32); !number) return number.error();
      break;
    case kFloat:
      if (const auto number = parse_go_float32(text); !number) return number.error();
      break;
    case kVerbosity:
      if (const auto number = parse_go_verbosity(text); !number) return number.error();
      break;
    case kList:
      if (const auto list = parse_csv_record(text); !list) return list.error();
      break;
    case kDuration: return unless(parse_duration(text).has_value(), R"(it is not a duration such as "5s" or "1h30m")");
    case kBool: return unless(parse_go_bool(text).has_value(), "it is not true or false");
    case kGates: return wrong_gates(text);
    case kPatterns: return wrong_patterns(text);
    case kAddress: return unless(text.empty() || rules::Address::parse(text), "it is not an IP address");
    case kEndpoint: return unless(text.empty() || is_endpoint(text), "it is not IP or IP:port");
    case kQuantity: return unless(is_zero_quantity(text).has_value(), R"(it is not a size such as "512" or "4Ki")");
  }
  return std::nullopt;
}

std::string_view type_name(KubeProxyFlag::Kind kind) {
  switch (kind) {
    case kText: return "TEXT";
    case kNumber:
    case kFloat:
    case kVerbosity: return "N";
    case kDuration: return "DURATION";
    case kList: return "LIST";
    case kGates: return "NAME=BOOL,...";
    case kPatterns: return "PATTERN=N,...";
    case kAddress: return "IP";
    case kEndpoint: return "IP[:PORT]";
    case kQuantity: return "SIZE";
    case kBool: break;
  }
  return "";
}

}  // namespace kubenatd::agent::config
