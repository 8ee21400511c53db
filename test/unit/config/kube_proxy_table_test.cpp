#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/config_json.h"
#include "agent/config/flags.h"
#include "rules/address.h"
#include "test/support/places.h"

/// The table that test/oracle/flags made with kube-proxy v1.36.3: the same verdict on each command line, and the same
/// configuration.
namespace kubenatd::agent::config {
namespace {

using nlohmann::json;

struct Row {
  std::vector<std::string> args;
  std::string file;
  bool run = false;
  bool ok = false;
  std::string message;
  json config;  ///< only what differs from the first row's
};

std::vector<Row> table() {
  std::ifstream file(kubenatd::test::project_file("test/unit/config/kube_proxy_flags.jsonl"));
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    const json one = json::parse(line);
    rows.push_back({one.at("args"), one.value("file", ""), one.value("run", false), one.at("ok"),
                    one.value("message", ""), one.value("config", json::object())});
  }
  REQUIRE(rows.size() > 3000);
  return rows;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

bool has_flag(const Row& row, std::string_view name) {
  return std::ranges::any_of(row.args, [&](std::string arg) {
    std::ranges::replace(arg, '_', '-');
    return arg.starts_with("--" + std::string(name));
  });
}

/// What kubenatd makes of the command line.
rules::Result<Config> read(const Row& row) {
  FlagValues values;
  FlagSet flags;
  register_settings(flags, Command::kRun, values);
  register_kube_proxy_flags(flags, Command::kRun, values);
  const auto parsed = flags.parse(row.args);
  if (!parsed) return std::unexpected(parsed.error());
  for (const std::string& argument : parsed->arguments)
    if (!argument.empty()) return rules::fail("command line", "read", "takes no arguments");
  Config config = default_config();
  if (values.config) {
    if (values.config->native() != "@FILE@") return rules::fail(values.config->native(), "open", "no such file");
    auto loaded = parse_config(row.file, "FILE");
    if (!loaded) return std::unexpected(loaded.error());
    config = std::move(loaded->config);
  }
  if (const auto applied = apply(values, config); !applied) return std::unexpected(applied.error());
  return config;
}

/// A list of prefixes, whatever their spelling.
json prefixes(const json& texts) {
  json all = json::array();
  for (const json& text : texts) {
    const auto prefix = rules::Prefix::parse(text.get<std::string>());
    all.push_back(prefix ? prefix->to_string() : text.get<std::string>());
  }
  return all;
}

/// The form of the table: "group.field", and the mode in force as "dataplane.field".
json canonical(const Config& config) {
  const json all = json::parse(to_json(config));
  json out;
  for (const auto& [key, value] : all.items()) {
    if (key == "kind" || key == "apiVersion" || key == "ipvs" || key == "winkernel" || key == "portRange") continue;
    if (key == "featureGates" || !value.is_object()) {
      out[key] = value;
      continue;
    }
    if ((key == "iptables" || key == "nftables") && key != all["mode"].get<std::string>()) continue;
    for (const auto& [field, of] : value.items())
      if (field != "options") out[(key == "iptables" || key == "nftables" ? "dataplane" : key) + "." + field] = of;
  }
  if (!out.contains("featureGates")) out["featureGates"] = json::object();
  out["nodePortAddresses"] = prefixes(out["nodePortAddresses"].is_null() ? json::array() : out["nodePortAddresses"]);
  json cidrs = json::array();
  for (const rules::Prefix& prefix : config.cluster_cidrs) cidrs.push_back(prefix.to_string());
  out["clusterCIDR"] = std::move(cidrs);
  return out;
}

/// A difference that stays: which rows have it, what we say to them, and why.
struct Difference {
  const char* why;
  bool we_accept;
  std::function<bool(const Row&)> is_it;
  std::size_t seen = 0;
};

std::vector<Difference> differences() {
  const auto says = [](const char* part) { return [part](const Row& row) { return has(row.message, part); }; };
  return {
      {"feature gates have no effect, so their names are not looked at", true,
       [](const Row& row) { return has(row.message, "feature gate"); }},
      {"kube-proxy panics when a value comes behind an empty address", true, says("panic")},
      {"-v without a number means more than by default", true,
       [](const Row& row) {
         return has(row.message, "'v' in -v") || has(row.message, R"(invalid argument "v")") ||
                (std::ranges::find(row.args, "-v") != row.args.end() && has(row.message, R"(argument "--)"));
       }},
      {"--vmodule has no effect beside any format", true, says("Only supported for text log format")},
      {"metrics know no version of Kubernetes that hid some", true, says("showHiddenMetricsForVersion")},
      {"an address without a port has the server's, also in the configuration that is written", true,
       [](const Row& row) { return !row.run && has(row.message, "must be IP:port"); }},
      {"--metrics-port=0 means no server, as its help says", true,
       [](const Row& row) { return row.run && has_flag(row, "metrics-port"); }},
      {"flags of kube-proxy's log before v1.26 and of its userspace mode are accepted without effect", true,
       says("unknown flag: --")},
      {"there is no ipvs mode", false,
       [](const Row& row) {
         return has_flag(row, "proxy-mode") && json(row.args).dump().find("ipvs") != std::string::npos;
       }},
      {"the kernel has no interface of that name", false,
       [](const Row& row) {
         return has_flag(row, "pod-bridge-interface") || has_flag(row, "pod-interface-name-prefix");
       }},
  };
}

/// Fields that may differ, and why not to look at them.
bool is_compared(const std::string& field, const Row& row) {
  // The first row has it, and nftables mode has no such field.
  if (field == "dataplane.localhostNodePorts" && row.config.value("mode", "iptables") == "nftables") return false;
  // Without an effect outside detectLocalMode ClusterCIDR; kept there only when it is one.
  if (field == "clusterCIDR" && row.config.value("detectLocalMode", "ClusterCIDR") != "ClusterCIDR") return false;
  // --write-config-to does not look at the deprecated ports, and a run does.
  if (field == "healthzBindAddress") return !has_flag(row, "healthz-port");
  if (field == "metricsBindAddress") return !has_flag(row, "metrics-port");
  return true;
}

}  // namespace

TEST_CASE("flags: kube-proxy's verdict and kube-proxy's configuration") {
  const std::vector<Row> rows = table();
  std::vector<Difference> known = differences();
  std::size_t unexplained = 0;
  const auto differs = [&](const Row& row, const std::string& what) {
    constexpr std::size_t kShown = 40;
    if (++unexplained <= kShown)
      UNSCOPED_INFO(json(row.args).dump() << (row.run ? " run" : "") << ": " << what
                                          << "; kube-proxy: " << (row.ok ? "accepted" : row.message));
  };
  for (const Row& row : rows) {
    const auto config = read(row);
    if (config.has_value() != row.ok) {
      const auto why = std::ranges::find_if(
          known, [&](const Difference& one) { return one.we_accept == config.has_value() && one.is_it(row); });
      if (why != known.end())
        ++why->seen;
      else
        differs(row, config ? "accepted" : config.error().cause);
      continue;
    }
    if (!config || row.run) continue;
    const json ours = canonical(*config);
    for (const auto& [field, value] : rows[0].config.items()) {
      if (!is_compared(field, row)) continue;
      const json& theirs = row.config.contains(field) ? row.config.at(field) : value;
      const json mine = ours.value(field, json());
      if (mine != theirs) differs(row, field + " " + mine.dump() + " is not " + theirs.dump());
    }
    // What the defaults do not have.
    for (const auto& [field, value] : row.config.items())
      if (!rows[0].config.contains(field) && is_compared(field, row) && ours.value(field, json()) != value)
        differs(row, field);
  }
  CHECK(unexplained == 0);
  for (const Difference& one : known) {
    CAPTURE(one.why);
    CHECK(one.seen > 0);
  }
}

}  // namespace kubenatd::agent::config
