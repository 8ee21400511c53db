#include "agent/config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <expected>
#include <optional>
#include <type_traits>

#include "agent/base/printable.h"
#include "agent/config/duration.h"
#include "agent/config/go_values.h"
#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

/// A range that ends here has no end.
template <class T>
constexpr T kNoLimit = std::numeric_limits<T>::max();

constexpr auto kSettings = std::to_array<Setting>({
    {.flag = "manifests",
     .field = "",
     .type = "DIR",
     .help = "Folder of Kubernetes objects (*.yaml, *.yml, *.json, at any depth): Services, EndpointSlices,\n"
             "Endpoints, Nodes, Pods. May be given more than once. Without it objects come from an API server: "
             "--kubeconfig, --master\n"
             "or, in a pod, its service account",
     .run_only = false,
     .member = &Settings::manifests},
    {.flag = "once",
     .field = "",
     .type = "",
     .help = "Sync once, leave the rules and exit",
     .run_only = true,
     .member = &Settings::once},
    {.flag = "dispatch",
     .field = "dispatch",
     .type = "linear|tree|auto",
     .help = "Shape of KUBE-SERVICES: linear as kube-proxy's, tree of address prefixes, or auto: a tree past\n"
             "--tree-threshold service addresses",
     .run_only = false,
     .member = &Settings::dispatch},
    {.flag = "tree-threshold",
     .field = "treeThreshold",
     .type = "N",
     .help = "Service addresses up to which auto stays linear",
     .run_only = false,
     .member = Setting::Range<std::size_t>{&Settings::tree_threshold, 0, kNoLimit<std::size_t>}},
    {.flag = "rule-form",
     .field = "ruleForm",
     .type = "portable|native",
     .help = "How iptables mode writes what compares ports and marks: portable, as every iptables reads it; native:\n"
             "faster where there are hundreds of NodePorts, but iptables 1.8.7 lists the rules wrongly",
     .run_only = true,
     .member = &Settings::rule_form},
    {.flag = "host-ports",
     .field = "hostPorts",
     .type = "auto|on|off",
     .help = "hostPorts of this node's Pods as CNI-* chains, as the portmap plugin makes them; auto: unless\n"
             "the API server does not let its Pods be seen; on: wait until it does. An entry that another portmap\n"
             "left, which takes the port of a Pod and leads to an address of the node's pod range where no Pod has\n"
             "that port, is reported, and removed after a minute",
     .run_only = false,
     .member = &Settings::host_ports},
    {.flag = "service-cidr",
     .field = "serviceCIDRs",
     .type = "CIDR",
     .help = "Range of cluster IPs: what no Service has in it is dropped in nftables mode. Commas, or given more\n"
             "than once",
     .run_only = false,
     .member = &Settings::service_cidrs},
    {.flag = "own-table",
     .field = "ownTable",
     .type = "auto|on|off",
     .help = "Whether mode nftables owns its table, so that no other program can change or flush it while kubenatd\n"
             "runs: auto: where the kernel can (Linux 6.9 and newer); on: the same, and where it cannot that is an\n"
             "error in the log; off: never. What others change in a table that is not owned is healed",
     .run_only = true,
     .member = &Settings::own_table},
    {.flag = "fast-path",
     .field = "fastPath",
     .type = "DEVICES",
     .help = "Devices on which long connections to Services bypass all rules, in nftables mode: eth0, veth*, or auto,\n"
             "which is all that route packets. After 20 packets a connection enters a flowtable of the kernel on the\n"
             "devices that it comes in and goes out by (Linux 6.1; UDP from 6.4 on). Commas, or given more than once;\n"
             "empty: none",
     .run_only = false,
     .member = &Settings::fast_path},
    {.flag = "reserved-ports",
     .field = "reservedPorts",
     .type = "PORT[/udp]",
     .help = "Ports of the node that no Service and no Pod takes from a program that listens there. Those of the API\n"
             "server, the kubelet and kubenatd itself are never taken. Commas, or given more than once; empty: none",
     .run_only = false,
     .member = &Settings::reserved_ports},
    {.flag = "external-ip-range",
     .field = "externalIPRanges",
     .type = "CIDR",
     .help = "Ranges in which the externalIPs of Services may be; without any they may be anywhere. Commas, or given\n"
             "more than once",
     .run_only = false,
     .member = &Settings::external_ip_ranges},
    {.flag = "load-balancer-ip-range",
     .field = "loadBalancerIPRanges",
     .type = "CIDR",
     .help = "The same for the load balancer addresses of Services",
     .run_only = false,
     .member = &Settings::load_balancer_ip_ranges},
    {.flag = "audit-period",
     .field = "auditPeriod",
     .type = "SECONDS",
     .help = "Time between full comparisons with the kernel: seconds, or a duration such as 5m",
     .run_only = true,
     .member = Setting::Range<Duration>{&Settings::audit_period, std::chrono::seconds(1), std::chrono::hours(24)}},
    {.flag = "service-metrics",
     .field = "serviceMetrics",
     .type = "N",
     .help = "Count new connections by Service in the metrics, for at most N Services. In nftables mode the maps of\n"
             "endpoints then count (Linux 5.7); render, diff and explain have to be told as well",
     .run_only = false,
     .member = Setting::Range<std::size_t>{&Settings::counted_services, 0, kMostCountedServices}},
    {.flag = "page",
     .field = "page",
     .type = "on|off",
     .help = "Serve a page at /ui/ of the metrics address: Services, their rules as pictures, packets explained, what\n"
             "happened. Whoever reaches that address can read it",
     .run_only = true,
     .member = &Settings::page},
    {.flag = "page-trace",
     .field = "pageTrace",
     .type = "on|off",
     .help = "Whoever reaches the page can also have packets traced, for ten seconds at a time",
     .run_only = true,
     .member = &Settings::page_trace},
});

template <class T>
struct Word {
  std::string_view text;
  T value;
};
/// The words for the values of a type; none: the type has others.
template <class T>
constexpr std::array<Word<T>, 0> kWords{};
template <>
constexpr std::array<Word<Settings::Dispatch>, 3> kWords<Settings::Dispatch>{{{"linear", Settings::Dispatch::kLinear},
                                                                              {"tree", Settings::Dispatch::kTree},
                                                                              {"auto", Settings::Dispatch::kAuto}}};
template <>
constexpr std::array<Word<Settings::RuleForm>, 2> kWords<Settings::RuleForm>{
    {{"portable", Settings::RuleForm::kPortable}, {"native", Settings::RuleForm::kNative}}};
template <>
constexpr std::array<Word<Settings::HostPorts>, 3> kWords<Settings::HostPorts>{
    {{"auto", Settings::HostPorts::kAuto}, {"on", Settings::HostPorts::kOn}, {"off", Settings::HostPorts::kOff}}};
template <>
constexpr std::array<Word<Settings::OwnTable>, 3> kWords<Settings::OwnTable>{
    {{"auto", Settings::OwnTable::kAuto}, {"on", Settings::OwnTable::kOn}, {"off", Settings::OwnTable::kOff}}};
template <>
constexpr std::array<Word<Settings::Page>, 2> kWords<Settings::Page>{
    {{"on", Settings::Page::kOn}, {"off", Settings::Page::kOff}}};
template <>
constexpr std::array<Word<bool>, 2> kWords<bool>{{{"true", true}, {"false", false}}};
template <class T>
concept HasWords = !kWords<T>.empty();

std::string to_words(std::size_t value) {
  return std::to_string(value);
}
std::string to_words(Duration value) {
  return to_text(value);
}
std::string to_words(const rules::Prefix& value) {
  return value.to_string();
}
std::string to_words(const ReservedPort& value) {
  return value.to_string();
}
std::string to_words(const DevicePattern& value) {
  return value.to_string();
}
std::string to_words(const std::filesystem::path& value) {
  return base::one_line(value.native(), 256);
}

std::optional<std::size_t> whole_number(std::string_view text) {
  const auto number = parse_go_int(text, 64);
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::size_t>(*number);
}

/// Reads one value; an error is what is wrong with the text.
std::expected<std::size_t, std::string> read_value(const std::string& text, std::size_t /*type*/) {
  if (const auto number = whole_number(text)) return *number;
  return std::unexpected(base::in_quotes(text) + " is not a whole number");
}
std::expected<Duration, std::string> read_value(const std::string& text, Duration /*type*/) {
  constexpr std::size_t kMostSeconds = 9'000'000'000;  // what nanoseconds of 64 bits hold
  if (const auto seconds = whole_number(text); seconds && *seconds <= kMostSeconds)
    return std::chrono::seconds(*seconds);
  if (const auto duration = parse_duration(text)) return *duration;
  return std::unexpected(base::in_quotes(text) + R"( is not a number of seconds or a duration such as "5m")");
}
std::expected<rules::Prefix, std::string> read_value(const std::string& text, const rules::Prefix& /*type*/) {
  if (const auto prefix = rules::Prefix::parse(text)) return *prefix;
  return std::unexpected(base::in_quotes(text) + " is not a CIDR");
}
std::expected<ReservedPort, std::string> read_value(const std::string& text, const ReservedPort& /*type*/) {
  const std::size_t slash = text.find('/');
  const auto number = whole_number(text.substr(0, slash));
  const std::string protocol = slash == std::string::npos ? "tcp" : rules::lower_case(text.substr(slash + 1));
  constexpr std::size_t kMostPort = 65535;
  if (!number || *number == 0 || *number > kMostPort || (protocol != "tcp" && protocol != "udp"))
    return std::unexpected(base::in_quotes(text) + R"( is not a port such as "22" or "51820/udp")");
  return ReservedPort{protocol == "udp" ? rules::Protocol::kUdp : rules::Protocol::kTcp,
                      static_cast<std::uint16_t>(*number)};
}
std::expected<DevicePattern, std::string> read_value(const std::string& text, const DevicePattern& /*type*/) {
  constexpr std::size_t kLongest = 15;  // IFNAMSIZ - 1
  std::string_view name = text;
  if (name.ends_with('*')) name.remove_suffix(1);
  // What dev_valid_name() refuses, and what nft could not list.
  const bool usable =
      !text.empty() && name.size() <= kLongest && name != "." && name != ".." && std::ranges::all_of(name, [](char c) {
        return c > ' ' && c < '\x7f' && std::string_view("/:*\"\\{},;").find(c) == std::string_view::npos;
      });
  if (!usable) return std::unexpected(base::in_quotes(text) + R"( is not a device such as "eth0" or "veth*", or auto)");
  return DevicePattern{text};
}
std::expected<std::filesystem::path, std::string> read_value(const std::string& text,
                                                             const std::filesystem::path& /*type*/) {
  if (text.empty()) return std::unexpected("no folder is named");
  return std::filesystem::path(text);
}
template <HasWords T>
std::expected<T, std::string> read_value(const std::string& text, T /*type*/) {
  const auto* const found = std::ranges::find(kWords<T>, rules::lower_case(text), &Word<T>::text);
  if (found != kWords<T>.end()) return found->value;
  std::string known;
  for (const Word<T>& word : kWords<T>) known += (known.empty() ? "" : ", ") + std::string(word.text);
  return std::unexpected(base::in_quotes(text) + " is not one of " + known);
}

/// The place of a setting's value, whatever else its declaration says.
template <class T>
constexpr T Settings::*place(T Settings::*member) {
  return member;
}
template <class T>
constexpr T Settings::*place(const Setting::Range<T>& range) {
  return range.member;
}

template <class T>
std::string text_of(const Setting::Range<T>& range) {
  return fmt::format("{}..{}", to_words(range.least), to_words(range.most));
}

template <class T>
std::optional<std::string> out_of_range(const Setting::Range<T>& range, const T& value) {
  if (value >= range.least && value <= range.most) return std::nullopt;
  return fmt::format("{} is not in {}", to_words(value), text_of(range));
}
template <class T>
std::optional<std::string> out_of_range(T Settings::* /*member*/, const T& /*value*/) {
  return std::nullopt;
}

template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;

template <class Member>
std::optional<std::string> set_member(const Member& member, Settings& settings, std::span<const std::string> texts) {
  auto& value = settings.*place(member);
  using Value = std::remove_reference_t<decltype(value)>;
  if constexpr (kIsList<Value>) {
    Value read;
    for (const std::string& text : texts) {
      auto one = read_value(text, typename Value::value_type{});
      if (!one) return one.error();
      read.push_back(std::move(*one));
    }
    value = std::move(read);
  } else {
    if (texts.empty()) return "has no value";
    const auto read = read_value(texts.back(), Value{});
    if (!read) return read.error();
    if (auto wrong = out_of_range(member, *read)) return wrong;
    value = *read;
  }
  return std::nullopt;
}

template <class Value>
std::string text_of(const Value& value) {
  if constexpr (kIsList<Value>) {
    constexpr std::size_t kMost = 16;
    std::string text;
    for (std::size_t i = 0; i < value.size() && i < kMost; ++i) text += (i > 0 ? ", " : "") + to_words(value[i]);
    if (value.size() > kMost) text += fmt::format(" and {} more", value.size() - kMost);
    return text.empty() ? "none" : text;
  } else if constexpr (HasWords<Value>) {
    const auto* const found = std::ranges::find(kWords<Value>, value, &Word<Value>::value);
    return found == kWords<Value>.end() ? std::string() : std::string(found->text);
  } else {
    return to_words(value);
  }
}

}  // namespace

std::string ReservedPort::to_string() const {
  return fmt::format("{}/{}", port, rules::name_of(protocol));
}

bool DevicePattern::matches(std::string_view device) const {
  if (!text.ends_with('*')) return device == text;
  return device.starts_with(std::string_view(text).substr(0, text.size() - 1));
}

bool Setting::is_list() const {
  return std::visit(
      [](const auto& of) { return kIsList<std::remove_cvref_t<decltype(std::declval<Settings&>().*place(of))>>; },
      member);
}

bool Setting::takes_comma_list() const {
  return std::holds_alternative<std::vector<rules::Prefix> Settings::*>(member) ||
         std::holds_alternative<std::vector<ReservedPort> Settings::*>(member) ||
         std::holds_alternative<std::vector<DevicePattern> Settings::*>(member);
}

std::string Setting::range() const {
  const auto told = []<class Member>(const Member& of) {
    if constexpr (requires { of.most; }) {
      if (of.most != kNoLimit<decltype(of.most)>) return text_of(of);
    }
    return std::string();
  };
  return std::visit(told, member);
}

rules::Status Setting::set(Settings& settings, std::span<const std::string> texts) const {
  const auto wrong = std::visit([&](const auto& of) { return set_member(of, settings, texts); }, member);
  if (wrong) return rules::fail(fmt::format("--{}", flag), "read", *wrong, EINVAL);
  return {};
}

std::string Setting::text(const Settings& settings) const {
  return std::visit([&](const auto& of) { return text_of(settings.*place(of)); }, member);
}

void Setting::copy(const Settings& from, Settings& to) const {
  std::visit([&](const auto& of) { to.*place(of) = from.*place(of); }, member);
}

std::span<const Setting> settings() {
  return kSettings;
}

std::vector<std::pair<std::string, std::string>> describe_settings(const Settings& values) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Setting& setting : settings()) lines.emplace_back(fmt::format("--{}", setting.flag), setting.text(values));
  return lines;
}

}  // namespace kubenatd::agent::config
