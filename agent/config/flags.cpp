#include "agent/config/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "agent/base/printable.h"
#include "agent/config/bind_address.h"
#include "agent/config/config_fields.h"
#include "agent/config/config_json.h"
#include "agent/config/duration.h"
#include "agent/config/field_reader.h"
#include "agent/config/go_values.h"
#include "agent/config/kube_proxy_flags.h"
#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

using nlohmann::json;
using Kind = KubeProxyFlag::Kind;
using Meaning = KubeProxyFlag::Meaning;
using Zero = KubeProxyFlag::Zero;

constexpr const char* kObject = "command line";
constexpr const char* kOperation = "read flags";
constexpr std::string_view kNoEffect = "has no effect here";

/// Those that stand for nftables.* when that mode is in force.
constexpr std::array<std::string_view, 3> kDataplaneFlags{"masquerade-all", "iptables-sync-period",
                                                          "iptables-min-sync-period"};

// These two give ports to addresses without one, deprecated; --master is no field of the file.
constexpr std::string_view kHealthzPortFlag = "healthz-port";
constexpr std::string_view kMetricsPortFlag = "metrics-port";
constexpr const char* kConfigFlag = "config";
constexpr std::string_view kMasterFlag = "master";
constexpr std::string_view kHostnameFlag = "hostname-override";

std::string dashed(std::string_view name) {
  return name == "v" ? std::string("-v") : fmt::format("--{}", name);
}

/// The value as the file would hold it; none: as if it was not given. The texts are such as wrong_with() lets pass.
json node_of(Kind kind, const std::vector<std::string>& texts) {
  const std::string& last = texts.back();
  switch (kind) {
    case Kind::kText:
    case Kind::kPatterns:
    case Kind::kQuantity:
    case Kind::kDuration: return last;
    case Kind::kNumber: return parse_go_int(last, 32).value_or(0);
    case Kind::kVerbosity: return parse_go_verbosity(last).value_or(0);
    case Kind::kFloat: return parse_go_float32(last).value_or(0);
    case Kind::kBool: return parse_go_bool(last).value_or(false);
    case Kind::kAddress:
    case Kind::kEndpoint: {
      const auto given = std::ranges::find_if(texts.rbegin(), texts.rend(), [](const auto& t) { return !t.empty(); });
      return given == texts.rend() ? json() : json(*given);
    }
    case Kind::kList: {
      json list = json::array();
      for (const std::string& text : texts)
        for (std::string& part : parse_csv_record(text).value_or(std::vector<std::string>()))
          list.push_back(std::move(part));
      return list;
    }
    case Kind::kGates: {
      json gates = json::object();
      for (const std::string& text : texts) {
        for (const std::string_view part : rules::split(text, ',')) {
          const std::size_t equals = part.find('=');
          if (equals == std::string_view::npos) continue;  // an empty part
          gates[std::string(base::trimmed(part.substr(0, equals)))] =
              parse_go_bool(base::trimmed(part.substr(equals + 1))).value_or(false);
        }
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

std::string field_of(const KubeProxyFlag& flag, bool is_nftables) {
  std::string field(flag.field);
  if (is_nftables && std::ranges::find(kDataplaneFlags, flag.name) != kDataplaneFlags.end()) {
    field.replace(0, std::string_view("iptables").size(), "nftables");
  }
  return field;
}

/// "iptables.syncPeriod" as JSON has it: "/iptables/syncPeriod".
json::json_pointer pointer_to(std::string field) {
  std::ranges::replace(field, '.', '/');
  return json::json_pointer("/" + field);
}

/// A value that zero refuses: what is wrong with it.
std::optional<std::string> refused_as_zero(const KubeProxyFlag& flag, const std::string& text) {
  if (flag.zero != Zero::kRefused) return std::nullopt;
  if (flag.kind == Kind::kText) return text.empty() ? std::optional<std::string>("must not be empty") : std::nullopt;
  const auto duration = parse_duration(text);
  return duration == Duration::zero() ? std::optional<std::string>("must be greater than zero") : std::nullopt;
}

/// What was given as zero and would be read as not given.
void keep_zeros(const FlagValues& values, Config& config) {
  const auto is_zero = [&](std::string_view name, auto&& reads_zero) {
    const std::vector<std::string>* given = find(values, name);
    return given != nullptr && reads_zero(given->back());
  };
  if (is_zero("kube-api-content-type", [](const std::string& text) { return text.empty(); }))
    config.client_connection.content_type.clear();
  if (is_zero("kube-api-burst", [](const std::string& text) { return parse_go_int(text, 32) == 0; }))
    config.client_connection.burst = 0;
  if (is_zero("kube-api-qps", [](const std::string& text) { return parse_go_float32(text) == 0; }))
    config.client_connection.qps = 0;
  if (is_zero("iptables-min-sync-period",
              [](const std::string& text) { return parse_duration(text) == Duration::zero(); })) {
    config.min_sync_period = Duration::zero();
    config.min_sync_period_set = true;
  }
}

/// A server's address and the deprecated flag that gives it a port when it has none; 0: no server.
struct Server {
  std::string_view port_flag, address_flag;
  const char* field;
  std::string_view fallback;  ///< kube-proxy's default, which already has a port
  std::uint16_t port;
};
constexpr std::array kServers{
    Server{kHealthzPortFlag, "healthz-bind-address", "healthzBindAddress", "0.0.0.0:10256", kHealthzPort},
    Server{kMetricsPortFlag, "metrics-bind-address", "metricsBindAddress", "127.0.0.1:10249", kMetricsPort}};

/// True when there is to be no such server.
bool put_server(const Server& server, const FlagValues& values, json& document, ConfigFindings& findings) {
  const std::vector<std::string>* given = find(values, server.address_flag);
  json address = given == nullptr ? json() : node_of(Kind::kEndpoint, *given);
  if (address.is_null()) address = server.fallback;
  std::int64_t port = server.port;
  if (const std::vector<std::string>* text = find(values, server.port_flag)) {
    findings.remark(dashed(server.port_flag), fmt::format("is deprecated, use --{}", server.address_flag));
    port = parse_go_int(text->back(), 32).value_or(0);
  }
  const auto& text = address.get_ref<const std::string&>();
  if (const bool has_port = !rules::Address::parse(text).has_value(); port != 0 && !has_port) {
    if (port < 0 || port > 65535)
      findings.mistake(dashed(server.port_flag), fmt::format("{} is not a port", port));
    else
      address = with_port(text, static_cast<std::uint16_t>(port));
  } else if (has_port && port != 0 && find(values, server.port_flag) != nullptr) {
    findings.remark(dashed(server.port_flag), fmt::format("gives no port to {}, which has one", text));
  }
  document[server.field] = std::move(address);
  return port == 0;
}

/// Several flags without effect are one remark.
std::vector<std::string> joined_remarks(const ConfigFindings& findings) {
  const std::string ending = fmt::format(": {}", kNoEffect);
  std::vector<std::string> remarks, without_effect;
  for (std::string& remark : findings.remarks()) {
    if (remark.ends_with(ending))
      without_effect.push_back(remark.substr(0, remark.size() - ending.size()));
    else
      remarks.push_back(std::move(remark));
  }
  if (!without_effect.empty())
    remarks.push_back("without effect here: " + fmt::to_string(fmt::join(without_effect, ", ")));
  return remarks;
}

/// Beside a file: only the flags of the log.
void take_logging(const FlagValues& values, const Config& read, Config& config) {
  if (find(values, "v") != nullptr) config.logging.verbosity = read.logging.verbosity;
  if (find(values, "logging-format") != nullptr) config.logging.format = read.logging.format;
  if (find(values, "log-flush-frequency") != nullptr) {
    config.logging.flush_frequency = read.logging.flush_frequency;
    config.logging.flush_frequency_is_number = false;
  }
  if (find(values, "vmodule") != nullptr) config.logging.vmodule = read.logging.vmodule;
  if (find(values, "log-text-split-stream") != nullptr) config.logging.text.split = read.logging.text.split;
  if (find(values, "log-json-split-stream") != nullptr) config.logging.json.split = read.logging.json.split;
  if (find(values, "log-text-info-buffer-size") != nullptr)
    config.logging.text.info_buffer_size = read.logging.text.info_buffer_size;
  if (find(values, "log-json-info-buffer-size") != nullptr)
    config.logging.json.info_buffer_size = read.logging.json.info_buffer_size;
}

/// Everything but the flags that are told apart in FlagValues.
rules::Result<std::vector<std::string>> apply_given(const FlagValues& values, Config& config) {
  const bool has_file = values.config.has_value();
  const std::vector<std::string>* mode = find(values, "proxy-mode");
  const bool is_nftables = mode != nullptr && mode->back() == "nftables";

  std::map<std::string, std::string, std::less<>> names;
  for (const KubeProxyFlag& flag : kube_proxy_flags()) {
    if (!flag.field.empty()) names.emplace(field_of(flag, is_nftables), dashed(flag.name));
  }
  ConfigFindings findings(std::move(names));
  std::vector<std::string> ignored;
  json document = json::object();
  // The file's gates decide about options of the log; those of flags do not count beside it.
  if (has_file && !config.feature_gates.empty()) document["featureGates"] = config.feature_gates;
  for (const KubeProxyFlag& flag : kube_proxy_flags()) {
    const std::vector<std::string>* given = find(values, flag.name);
    if (given == nullptr) continue;
    if (has_file && !flag.counts_beside_file()) {
      ignored.push_back(dashed(flag.name));
    } else if (flag.field.empty()) {
      findings.remark(dashed(flag.name), kNoEffect);
    } else if (const auto wrong = refused_as_zero(flag, given->back())) {
      findings.mistake(dashed(flag.name), *wrong);
    } else if (json node = node_of(flag.kind, *given); !node.is_null()) {
      document[pointer_to(field_of(flag, is_nftables))] = std::move(node);
    }
  }
  std::array<bool, kServers.size()> is_off{};
  for (std::size_t i = 0; i < kServers.size(); ++i) {
    if (!has_file)
      is_off.at(i) = put_server(kServers.at(i), values, document, findings);
    else if (find(values, kServers.at(i).port_flag) != nullptr)
      ignored.push_back(dashed(kServers.at(i).port_flag));
  }
  Config read = read_fields(document, findings);
  const std::vector<std::string>* cidr = find(values, "cluster-cidr");
  if (!has_file && cidr != nullptr && cidr->back().empty() && read.detect_local == Config::DetectLocal::kClusterCidr)
    findings.mistake("clusterCIDR", R"("" is not a CIDR such as 10.244.0.0/16; leave the flag out when there is none)");
  if (values.hostname_override && !values.hostname_override->empty() &&
      base::trimmed(*values.hostname_override).empty())
    findings.mistake(dashed(kHostnameFlag), "is only blanks");
  if (findings.has_mistakes()) return rules::fail(kObject, kOperation, findings.mistakes());

  if (has_file) {
    take_logging(values, read, config);
  } else {
    keep_zeros(values, read);
    static_cast<Settings&>(read) = static_cast<const Settings&>(config);
    config = std::move(read);
    if (is_off[0]) config.healthz_bind_address.clear();
    if (is_off[1]) config.metrics_bind_address.clear();
  }
  if (const auto* master = find(values, kMasterFlag)) config.master = master->back();
  std::vector<std::string> remarks = joined_remarks(findings);
  if (!ignored.empty()) remarks.push_back("ignored beside --config: " + fmt::to_string(fmt::join(ignored, ", ")));
  return remarks;
}

/// The default of a field, as the help tells it.
std::string default_of(std::string_view field) {
  static const json kDefaults = json::parse(to_json(default_config()));
  const json::json_pointer pointer = pointer_to(std::string(field));
  if (field.empty() || !kDefaults.contains(pointer)) return {};
  const json& value = kDefaults.at(pointer);
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() || value.is_structured() ? std::string() : value.dump();
}

/// A flag whose texts all go to values.given.
Flag given_flag(std::string_view name, Kind kind, FlagValues& values) {
  return {
      .name = std::string(name),
      .type = std::string(type_name(kind)),
      .help = "",
      .fallback = "",
      .group = "",
      .alone = kind == Kind::kBool ? std::optional<std::string>("true") : std::nullopt,
      .set = [place = &values.given[std::string(name)], kind](const std::string& text) -> std::optional<std::string> {
        if (auto wrong = wrong_with(kind, text)) return wrong;
        place->push_back(text);
        return std::nullopt;
      }};
}

}  // namespace

void register_kube_proxy_flags(FlagSet& flags, Command command, FlagValues& values) {
  const std::string kube_proxy = "kube-proxy's flags";
  const std::string without_effect = "Accepted from kube-proxy, without effect";
  const bool runs = command == Command::kRun || command == Command::kCheck;
  const bool asks = command == Command::kAsk;  // the agent, at its metrics address
  const bool looks = command != Command::kCleanup && !asks;

  const auto add = [&](Flag flag, Meaning meaning, std::string_view help, std::string fallback) {
    flag.help = help;
    flag.fallback = std::move(fallback);
    flag.group = meaning == Meaning::kNowhere ? without_effect : kube_proxy;
    const bool says_where = asks && (flag.name == kConfigFlag || flag.name == kServers[1].address_flag ||
                                     flag.name == kServers[1].port_flag);
    flag.is_hidden = !(runs || says_where || (looks && meaning == Meaning::kEverywhere) || flag.shorthand != '\0');
    flags.add(std::move(flag));
  };
  const auto add_path = [&](const char* name, std::optional<std::filesystem::path>& path, Meaning meaning,
                            std::string_view help) {
    Flag flag{.name = name, .type = "FILE", .help = "", .fallback = "", .group = "", .alone = std::nullopt, .set = {}};
    flag.set = [&path](const std::string& text) -> std::optional<std::string> {
      path.reset();
      if (!text.empty()) path = text;
      return std::nullopt;
    };
    add(std::move(flag), meaning, help, "");
  };

  add_path(kConfigFlag, values.config, Meaning::kEverywhere,
           "KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1). Beside it kube-proxy's other flags are ignored, "
           "but for --hostname-override, --master and those of the log. A second document in it, KubenatdConfiguration "
           "(kubenatd.io/v1alpha1), holds kubenatd's own settings; their flags win over it");
  add_path("write-config-to", values.write_config_to, Meaning::kRun, "Write the configuration to this file and exit");
  add(bool_flag("cleanup", "", values.cleanup), Meaning::kRun, "Remove all rules and exit", "false");
  add(bool_flag("init-only", "", values.init_only), Meaning::kRun, "Make the kernel's settings and exit", "false");
  Flag host{.name = std::string(kHostnameFlag),
            .type = "NAME",
            .help = "",
            .fallback = "",
            .group = "",
            .alone = std::nullopt,
            .set = {}};
  host.set = [&values](const std::string& text) -> std::optional<std::string> {
    values.hostname_override = text;
    return std::nullopt;
  };
  add(std::move(host), Meaning::kEverywhere, "Name of this node, instead of the configuration's", "the host's name");
  add(given_flag(kMasterFlag, Kind::kText, values), Meaning::kEverywhere,
      "Address of the API server, instead of the kubeconfig's", "");
  for (const Server& server : kServers)
    add(given_flag(server.port_flag, Kind::kNumber, values), Meaning::kRun,
        fmt::format("Deprecated: port of --{} when that has none; 0: no such server", server.address_flag),
        std::to_string(server.port));
  for (const KubeProxyFlag& of : kube_proxy_flags()) {
    Flag flag = given_flag(of.name, of.kind, values);
    if (of.kind == Kind::kVerbosity) {
      flag.shorthand = 'v';
      flag.count = [&values] { ++values.verbosity; };
    }
    add(std::move(flag), of.meaning, of.help, default_of(of.field));
  }
  flags.add({.name = "verbose",
             .type = "",
             .help = "Log more, as -v without a number",
             .fallback = "false",
             .group = "kubenatd's own settings",
             .alone = "true",
             .set = [&values](const std::string& text) -> std::optional<std::string> {
               const auto truth = parse_go_bool(text);
               if (!truth) return "it is not true or false";
               values.verbosity = *truth ? std::max(values.verbosity, 1) : 0;
               return std::nullopt;
             }});
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
    changed.hostname_override = rules::lower_case(base::trimmed(*values.hostname_override));
  }
  for (const Setting& setting : settings())
    if (values.settings_given.contains(setting.flag)) setting.copy(values.settings, changed);
  config = std::move(changed);
  return remarks;
}

}  // namespace kubenatd::agent::config
