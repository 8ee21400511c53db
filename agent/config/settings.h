#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "rules/address.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::agent::config {

using Duration = std::chrono::nanoseconds;

/// For how many Services new connections can be counted. In iptables mode a scrape reads two chains for each, about 20
/// us a chain.
inline constexpr std::size_t kMostCountedServices = 10'000;

/// A port of the node as a setting names it: "22" or "22/tcp", "51820/udp".
struct ReservedPort {
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t port = 0;
  auto operator<=>(const ReservedPort&) const = default;
  [[nodiscard]] std::string to_string() const;
};

/// Network devices as --fast-path names them: "eth0", "veth*", "auto".
struct DevicePattern {
  std::string text;
  auto operator<=>(const DevicePattern&) const = default;
  [[nodiscard]] const std::string& to_string() const { return text; }
  [[nodiscard]] bool is_auto() const { return text == "auto"; }
  [[nodiscard]] bool matches(std::string_view device) const;
};

/// kubenatd's own settings, which kube-proxy does not have, with their defaults. What each means stands in settings().
struct Settings {
  enum class Dispatch : std::uint8_t { kLinear, kTree, kAuto };
  enum class RuleForm : std::uint8_t { kPortable, kNative };
  enum class HostPorts : std::uint8_t { kAuto, kOn, kOff };  ///< auto: where the source gives Pods
  enum class OwnTable : std::uint8_t { kAuto, kOn, kOff };   ///< auto: where the kernel can
  enum class Page : std::uint8_t { kOff, kOn };

  std::vector<std::filesystem::path> manifests;
  bool once = false;
  Dispatch dispatch = Dispatch::kAuto;
  std::size_t tree_threshold = 1000;
  RuleForm rule_form = RuleForm::kPortable;
  HostPorts host_ports = HostPorts::kAuto;
  OwnTable own_table = OwnTable::kAuto;
  Duration audit_period = std::chrono::minutes(5);
  std::vector<rules::Prefix> service_cidrs;
  std::size_t counted_services = 0;
  Page page = Page::kOff;
  Page page_trace = Page::kOff;  ///< packets can be traced from the page
  // Not by an initializer list: gcc 12 takes its copy for uninitialized at -O3.
  std::vector<ReservedPort> reserved_ports = std::vector<ReservedPort>(1, ReservedPort{rules::Protocol::kTcp, 22});
  std::vector<DevicePattern> fast_path;  ///< none: there is no fast path
  std::vector<rules::Prefix> external_ip_ranges;
  std::vector<rules::Prefix> load_balancer_ip_ranges;
};

/// The commands that have flags. Each accepts those of `run`; which mean something to it is said with each flag.
enum class Command : std::uint8_t { kRun, kRender, kDiff, kExplain, kAsk, kCheck, kCleanup };

/// One of kubenatd's own settings, declared once: flags, the KubenatdConfiguration of a file, `check` and the help all
/// read it from here. The default is the member's initializer in Settings.
///
/// Threading: constant. Failure: set() says what is wrong with a text and leaves the value alone.
struct Setting {
  template <class T>
  struct Range {
    T Settings::*member;
    T least, most;
  };
  /// A value of the type itself, or a member with the range that it has to be in.
  using Member = std::variant<bool Settings::*, Settings::Dispatch Settings::*, Settings::RuleForm Settings::*,
                              Settings::HostPorts Settings::*, Settings::OwnTable Settings::*,
                              Settings::Page Settings::*, Range<std::size_t>, Range<Duration>,
                              std::vector<rules::Prefix> Settings::*, std::vector<ReservedPort> Settings::*,
                              std::vector<DevicePattern> Settings::*, std::vector<std::filesystem::path> Settings::*>;

  std::string_view flag;   ///< without the dashes
  std::string_view field;  ///< of KubenatdConfiguration; empty: it is a matter of the command line alone
  std::string_view type;   ///< what stands for the value in the help; empty: the flag has no value
  std::string_view help;
  bool run_only;  ///< it means something to `run` alone, and `check`, which looks at what `run` would be told
  Member member;

  [[nodiscard]] bool applies_to(Command command) const {
    if (command == Command::kCleanup || command == Command::kAsk) return false;
    return !run_only || command == Command::kRun || command == Command::kCheck;
  }
  [[nodiscard]] bool is_list() const;
  /// A list whose flag takes several with commas; names of files may hold some.
  [[nodiscard]] bool takes_comma_list() const;
  /// "0..10000"; empty: there is none worth telling.
  [[nodiscard]] std::string range() const;
  /// The texts are those of a flag: one, or of a list all that were given.
  [[nodiscard]] rules::Status set(Settings& settings, std::span<const std::string> texts) const;
  /// A duration is "1m30s".
  [[nodiscard]] std::string text(const Settings& settings) const;
  void copy(const Settings& from, Settings& to) const;
};

/// All of them, in the order in which they are told.
[[nodiscard]] std::span<const Setting> settings();

/// Each with its value, as `check` prints it: "--dispatch", "auto".
[[nodiscard]] std::vector<std::pair<std::string, std::string>> describe_settings(const Settings& settings);

}  // namespace kubenatd::agent::config
