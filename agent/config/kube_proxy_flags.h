#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// kube-proxy v1.36's flags, and those of older ones that clusters' manifests still carry.
namespace kubenatd::agent::config {

/// One of kube-proxy's flags, declared once: the parser of every command, the help and the configuration read it here.
struct KubeProxyFlag {
  /// How its text is read: as the type that kube-proxy's flag has.
  enum class Kind : std::uint8_t {
    kText,
    kNumber,  ///< int32
    kFloat,   ///< float32
    kDuration,
    kBool,
    kList,   ///< pflag's StringSlice: "a,b"; what is given again is added
    kGates,  ///< "A=true,B=false"; what is given again is added
    kVerbosity,
    kPatterns,  ///< --vmodule: "pattern=N,..."
    kAddress,   ///< an IP address; empty: as if it was not given
    kEndpoint,  ///< IP or IP:port; empty: as if it was not given
    kQuantity,  ///< "4Ki"
  };
  /// Which commands it has a meaning for. Others accept it, so that they take the command line of a running agent.
  enum class Meaning : std::uint8_t {
    kEverywhere,  ///< it shapes rules, or says where objects come from
    kRun,         ///< run and check
    kNowhere,     ///< nothing here does what it asks for
  };
  /// What a value of zero, or an empty text, stands for: in a file it would be the default.
  enum class Zero : std::uint8_t { kAsFile, kKept, kRefused };

  std::string_view name;
  Kind kind;
  std::string_view field;  ///< of KubeProxyConfiguration; empty: it has none
  Meaning meaning;
  std::string_view help;
  Zero zero = Zero::kAsFile;

  /// The logging flags count beside --config, too.
  [[nodiscard]] bool counts_beside_file() const { return field.empty() || field.starts_with("logging."); }
};

[[nodiscard]] std::span<const KubeProxyFlag> kube_proxy_flags();

/// What is wrong with a text of this kind.
[[nodiscard]] std::optional<std::string> wrong_with(KubeProxyFlag::Kind kind, const std::string& text);

/// What stands for the value in the help.
[[nodiscard]] std::string_view type_name(KubeProxyFlag::Kind kind);

}  // namespace kubenatd::agent::config
