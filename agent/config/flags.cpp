#include "agent/config/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/base/printable.h"
#include "agent/config/bind_address.h"
#include "agent/config/config_fields.h"
#include "agent/config/field_reader.h"
#include "agent/documents/yaml_scalar.h"

namespace kubenatd::agent::config {
namespace {

using nlohmann::json;

constexpr const char* kObject = "command line";
constexpr const char* kOperation = "read flags";
constexpr std::string_view kNoEffect = "has no effect here";

enum class Kind : std::uint8_t { kText, kNumber, kDuration, kBool, kList, kGates, kVerbosity };

/// A flag and the field of the file that it stands for.
struct Flag {
  std::string_view name;
  Kind kind;
  std::string_view field;  ///< empty: there is none, the flag is only accepted
};

/// Those that stand for nftables.* when that mode is in force.
constexpr std::array<std::string_view, 3> kDataplaneFlags{"masquerade-all", "iptables-sync-period",
                                                          "iptables-min-sync-period"};

constexpr auto kFlags = std::to_array<Flag>({
    {"feature-gates", Kind::kGates, "featureGates"},
    {"kubeconfig", Kind::kText, "clientConnection.kubeconfig"},
    {"kube-api-content-type", Kind::kText, "clientConnection.contentType"},
    {"kube-api-burst", Kind::kNumber, "clientConnection.burst"},
    {"kube-api-qps", Kind::kNumber, "clientConnection.qps"},
    {"bind-address", Kind::kText, "bindAddress"},
    {"healthz-bind-address", Kind::kText, "healthzBindAddress"},
    {"metrics-bind-address", Kind::kText, "metricsBindAddress"},
    {"bind-address-hard-fail", Kind::kBool, "bindAddressHardFail"},
    {"profiling", Kind::kBool, "enableProfiling"},
    {"show-hidden-metrics-for-version", Kind::kText, "showHiddenMetricsForVersion"},
    {"proxy-mode", Kind::kText, "mode"},
    {"iptables-masquerade-bit", Kind::kNumber, "iptables.masqueradeBit"},
    {"masquerade-all", Kind::kBool, "iptables.masqueradeAll"},
    {"iptables-localhost-nodeports", Kind::kBool, "iptables.localhostNodePorts"},
    {"iptables-sync-period", Kind::kDuration, "iptables.syncPeriod"},
    {"iptables-min-sync-period", Kind::kDuration, "iptables.minSyncPeriod"},
    {"ipvs-sync-period", Kind::kDuration, "ipvs.syncPeriod"},
    {"ipvs-min-sync-period", Kind::kDuration, "ipvs.minSyncPeriod"},
    {"ipvs-scheduler", Kind::kText, "ipvs.scheduler"},
    {"ipvs-exclude-cidrs", Kind::kList, "ipvs.excludeCIDRs"},
    {"ipvs-strict-arp", Kind::kBool, "ipvs.strictARP"},
    {"ipvs-tcp-timeout", Kind::kDuration, "ipvs.tcpTimeout"},
    {"ipvs-tcpfin-timeout", Kind::kDuration, "ipvs.tcpFinTimeout"},
    {"ipvs-udp-timeout", Kind::kDuration, "ipvs.udpTimeout"},
    {"detect-local-mode", Kind::kText, "detectLocalMode"},
    {"pod-bridge-interface", Kind::kText, "detectLocal.bridgeInterface"},
    {"pod-interface-name-prefix", Kind::kText, "detectLocal.interfaceNamePrefix"},
    {"cluster-cidr", Kind::kText, "clusterCIDR"},
    {"nodeport-addresses", Kind::kList, "nodePortAddresses"},
    {"oom-score-adj", Kind::kNumber, "oomScoreAdj"},
    {"conntrack-max-per-core", Kind::kNumber, "conntrack.maxPerCore"},
    {"conntrack-min", Kind::kNumber, "conntrack.min"},
    {"conntrack-tcp-timeout-established", Kind::kDuration, "conntrack.tcpEstablishedTimeout"},
    {"conntrack-tcp-timeout-close-wait", Kind::kDuration, "conntrack.tcpCloseWaitTimeout"},
    {"conntrack-tcp-be-liberal", Kind::kBool, "conntrack.tcpBeLiberal"},
    {"conntrack-udp-timeout", Kind::kDuration, "conntrack.udpTimeout"},
    {"conntrack-udp-timeout-stream", Kind::kDuration, "conntrack.udpStreamTimeout"},
    {"config-sync-period", Kind::kDuration, "configSyncPeriod"},
    {"proxy-port-range", Kind::kText, "portRange"},
    {"v", Kind::kVerbosity, "logging.verbosity"},
    {"logging-format", Kind::kText, "logging.format"},
    {"log-flush-frequency", Kind::kDuration, "logging.flushFrequency"},
    {"vmodule", Kind::kText, "logging.vmodule"},
    // Of kube-proxy's log buffers, and of the logger that it had before v1.26; clusters' manifests still carry them.
    {"log-text-split-stream", Kind::kBool, ""},
    {"log-text-info-buffer-size", Kind::kText, ""},
    {"log-json-split-stream", Kind::kBool, ""},
    {"log-json-info-buffer-size", Kind::kText, ""},
    {"logtostderr", Kind::kBool, ""},
    {"alsologtostderr", Kind::kBool, ""},
    {"stderrthreshold", Kind::kText, ""},
    {"log-backtrace-at", Kind::kText, ""},
    {"log-dir", Kind::kText, ""},
    {"log-file", Kind::kText, ""},
    {"log-file-max-size", Kind::kText, ""},
    {"add-dir-header", Kind::kBool, ""},
    {"one-output", Kind::kBool, ""},
    {"skip-headers", Kind::kBool, ""},
    {"skip-log-headers", Kind::kBool, ""},
});

// These two give addresses, deprecated; --master is no field of the file.
constexpr std::string_view kHealthzPortFlag = "healthz-port";
constexpr std::string_view kMetricsPortFlag = "metrics-port";
constexpr std::string_view kMasterFlag = "master";

bool counts_beside_file(const Flag& flag) {
  return flag.field.empty() || flag.field.starts_with("logging.");
}

std::string dashed(std::string_view name) {
  return name == "v" ? std::string("-v") : fmt::format("--{}", name);
}

/// What strconv.ParseBool takes.
std::optional<bool> parse_bool(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue{"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::array<std::string_view, 6> kFalse{"0", "f", "F", "false", "FALSE", "False"};
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return std::nullopt;
}

/// The parts of "a,b" of every time the flag was given.
std::vector<std::string> parts_of(const std::vector<std::string>& values) {
  std::vector<std::string> parts;
  for (const std::string& value : values) {
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      parts.emplace_back(base::trimmed(rest.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return parts;
}

/// -v 2, -v=2, --v=2; -v and -vv count.
std::string verbosity_of(std::string_view text) {
  if (text.starts_with('=')) text.remove_prefix(1);
  if (text.empty()) return "1";
  if (text.find_first_not_of('v') == std::string_view::npos) return std::to_string(text.size() + 1);
  return std::string(text);
}

/// What is no number is left as text, which the field's reader refuses.
json number_of(const std::string& text) {
  json number = documents::resolve_plain_scalar(text);
  return number.is_number() ? number : json(text);
}

/// The value as the file would hold it. Texts that are no bool are a mistake; all else is left to the field's reader.
json node_of(const Flag& flag, const std::vector<std::string>& values, ConfigFindings& findings) {
  const std::string& last = values.back();
  if (last.starts_with("--")) findings.mistake(dashed(flag.name), "has no value before " + base::in_quotes(last));
  switch (flag.kind) {
    case Kind::kText:
    case Kind::kDuration: return last;
    case Kind::kNumber: return number_of(last);
    case Kind::kVerbosity: return number_of(verbosity_of(last));
    case Kind::kBool: {
      const std::optional<bool> value = parse_bool(last);
      if (!value) findings.mistake(dashed(flag.name), base::in_quotes(last) + " is not true or false");
      return value.value_or(false);
    }
    case Kind::kList: return parts_of(values);
    case Kind::kGates: {
      json gates = json::object();
      for (const std::string& part : parts_of(values)) {
        const std::size_t equals = part.find('=');
        const std::optional<bool> value =
            equals == std::string::npos ? std::nullopt : parse_bool(base::trimmed(part).substr(equals + 1));
        if (!value || equals == 0) {
          findings.mistake(dashed(flag.name), base::in_quotes(part) + " is not NAME=true or NAME=false");
          continue;
        }
        gates[part.substr(0, equals)] = *value;
      }
      return gates;
    }
  }
  return {};
}

const std::vector<std::string>* find(const FlagValues& values, std::string_view name) {
  const auto found = values.given.find(std::string(name));
  return found == values.given.end() || found->second.empty() ? nullptr : &found->second;
}

std::string field_of(const Flag& flag, bool is_nftables) {
  std::string field(flag.field);
  if (is_nftables && std::ranges::find(kDataplaneFlags, flag.name) != kDataplaneFlags.end()) {
    field.replace(0, std::string_view("iptables").size(), "nftables");
  }
  return field;
}

void put(json& document, const std::string& field, json value) {
  const std::size_t dot = field.find('.');
  if (dot == std::string::npos) {
    document[field] = std::move(value);
  } else {
    document[field.substr(0, dot)][field.substr(dot + 1)] = std::move(value);
  }
}

/// --healthz-port and --metrics-port: the port of an address without one; 0: no server. True when it is 0.
bool put_port(const FlagValues& values, std::string_view port_flag, std::string_view address_flag,
              const std::string& field, std::string_view fallback, json& document, ConfigFindings& findings) {
  const std::vector<std::string>* given = find(values, port_flag);
  if (given == nullptr) return false;
  findings.remark(dashed(port_flag), fmt::format("is deprecated, use --{}", address_flag));
  const std::string& text = given->back();
  int port = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port < 0 || port > 65535) {
    findings.mistake(dashed(port_flag), base::in_quotes(text) + " is not a port");
    return false;
  }
  if (port == 0) return true;
  const std::vector<std::string>* address = find(values, address_flag);
  const bool has_address = address != nullptr && !address->back().empty();
  const std::string base = has_address ? address->back() : std::string(fallback);
  put(document, field, with_port(base, static_cast<std::uint16_t>(port)));
  return false;
}

/// Everything but the flags that are told apart in FlagValues.
rules::Result<std::vector<std::string>> apply_given(const FlagValues& values, Config& config) {
  const bool has_file = values.config.has_value();
  const std::vector<std::string>* mode = find(values, "proxy-mode");
  const bool is_nftables = mode != nullptr && mode->back() == "nftables";

  std::map<std::string, std::string, std::less<>> names;
  for (const Flag& flag : kFlags) {
    if (!flag.field.empty()) names.emplace(field_of(flag, is_nftables), dashed(flag.name));
  }
  ConfigFindings findings(std::move(names));
  std::vector<std::string> ignored;
  json document = json::object();
  for (const Flag& flag : kFlags) {
    const std::vector<std::string>* given = find(values, flag.name);
    if (given == nullptr) continue;
    if (has_file && !counts_beside_file(flag)) {
      ignored.push_back(dashed(flag.name));
    } else if (json node = node_of(flag, *given, findings); flag.field.empty()) {
      findings.remark(dashed(flag.name), kNoEffect);
    } else {
      put(document, field_of(flag, is_nftables), std::move(node));
    }
  }
  bool no_healthz = false;
  bool no_metrics = false;
  if (has_file) {
    for (const std::string_view name : {kHealthzPortFlag, kMetricsPortFlag}) {
      if (find(values, name) != nullptr) ignored.push_back(dashed(name));
    }
  } else {
    const std::vector<std::string>* bind = find(values, "bind-address");
    const bool is_ipv6 = bind != nullptr && bind->back().find(':') != std::string::npos;
    no_healthz = put_port(values, kHealthzPortFlag, "healthz-bind-address", "healthzBindAddress",
                          is_ipv6 ? "::" : "0.0.0.0", document, findings);
    no_metrics = put_port(values, kMetricsPortFlag, "metrics-bind-address", "metricsBindAddress",
                          is_ipv6 ? "::1" : "127.0.0.1", document, findings);
  }
  Config read = read_fields(document, findings);
  if (findings.has_mistakes()) return rules::fail(kObject, kOperation, findings.mistakes());

  if (has_file) {
    if (find(values, "v") != nullptr) config.logging.verbosity = read.logging.verbosity;
    if (find(values, "logging-format") != nullptr) config.logging.format = read.logging.format;
    if (find(values, "log-flush-frequency") != nullptr) config.logging.flush_frequency = read.logging.flush_frequency;
  } else {
    static_cast<Settings&>(read) = static_cast<const Settings&>(config);
    config = std::move(read);
    if (no_healthz) config.healthz_bind_address.clear();
    if (no_metrics) config.metrics_bind_address.clear();
  }
  if (const auto* master = find(values, kMasterFlag)) config.master = master->back();
  std::vector<std::string> remarks = findings.remarks();
  if (!ignored.empty()) remarks.push_back(fmt::format("ignored beside --config: {}", fmt::join(ignored, ", ")));
  return remarks;
}

const char* type_name(Kind kind) {
  switch (kind) {
    case Kind::kText: return "TEXT";
    case Kind::kNumber:
    case Kind::kVerbosity: return "N";
    case Kind::kDuration: return "DURATION";
    case Kind::kList: return "LIST";
    case Kind::kGates: return "NAME=BOOL,...";
    case Kind::kBool: break;
  }
  return "";
}

/// An option whose texts all go to values.given.
void add_text(CLI::App& app, FlagValues& values, std::string_view name, Kind kind, const std::string& description,
              const std::string& group) {
  std::vector<std::string>* const place = &values.given[std::string(name)];
  const auto store = [place, kind](const CLI::results_t& texts) {
    *place = texts;
    if (kind == Kind::kBool) std::ranges::replace(*place, "", "true");
    return true;
  };
  const std::string names = name == "v" ? "-v,--v" : dashed(name);
  CLI::Option* option = app.add_option(names, store, description)->group(group)->type_name(type_name(kind));
  if (kind == Kind::kBool) {
    option->expected(0)->default_str("");
  } else if (kind == Kind::kVerbosity) {
    option->expected(0, 1)->default_str("");
  }
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

void register_kube_proxy_flags(CLI::App& app, FlagValues& values) {
  const std::string flags = "kube-proxy's flags";
  const std::string without_effect = "Accepted from kube-proxy, without effect";
  app.add_option("--config", values.config,
                 "KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1); kube-proxy's other flags are ignored\n"
                 "beside it, but for --hostname-override, --master and those of the log. A second document in it,\n"
                 "KubenatdConfiguration (kubenatd.io/v1alpha1), holds kubenatd's own settings; their flags win over it")
      ->type_name("FILE");
  app.add_option("--hostname-override", values.hostname_override,
                 "Name of this node, instead of the configuration's or the host's")
      ->type_name("NAME");
  app.add_option("--write-config-to", values.write_config_to, "Write the configuration to this file and exit")
      ->type_name("FILE")
      ->group(flags);
  app.add_flag("--cleanup", values.cleanup, "Remove all rules and exit")->group(flags);
  app.add_flag("--init-only", values.init_only, "Make the kernel's settings and exit")->group(flags);
  add_text(app, values, kMasterFlag, Kind::kText, "Address of the API server, instead of the kubeconfig's", flags);
  for (const Flag& flag : kFlags) {
    const bool has_effect = !flag.field.empty() && !flag.field.starts_with("ipvs.") &&
                            flag.field != "logging.vmodule" && flag.field != "portRange" &&
                            flag.field != "featureGates";
    add_text(app, values, flag.name, flag.kind, flag.field.empty() ? "" : fmt::format("As {}", flag.field),
             has_effect ? flags : without_effect);
  }
  add_text(app, values, kHealthzPortFlag, Kind::kNumber, "Deprecated: port of --healthz-bind-address, 0 for no server",
           flags);
  add_text(app, values, kMetricsPortFlag, Kind::kNumber, "Deprecated: port of --metrics-bind-address, 0 for no server",
           flags);
}

rules::Result<std::vector<std::string>> apply(const FlagValues& values, Config& config) {
  Config changed = config;
  rules::Result<std::vector<std::string>> remarks;
  try {
    remarks = apply_given(values, changed);
  } catch (const std::exception& exception) {
    return rules::fail(kObject, kOperation, base::one_line(exception.what(), 200));
  }
  if (!remarks) return remarks;
  if (values.hostname_override && !values.hostname_override->empty()) {
    changed.hostname_override = *values.hostname_override;
  }
  for (const Setting& setting : settings())
    if (values.settings_given.contains(setting.flag)) setting.copy(values.settings, changed);
  config = std::move(changed);
  return remarks;
}

}  // namespace kubenatd::agent::config
