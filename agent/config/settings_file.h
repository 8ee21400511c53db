#pragma once

#include <string_view>

#include "agent/config/field_reader.h"
#include "agent/config/settings.h"

namespace kubenatd::agent::config {

/// The document that holds kubenatd's own settings, behind the KubeProxyConfiguration in the file of --config. Of a
/// file with several documents kube-proxy reads the first alone, so that it takes the file, too.
inline constexpr std::string_view kSettingsApiVersion = "kubenatd.io/v1alpha1";
inline constexpr std::string_view kSettingsKind = "KubenatdConfiguration";

/// Reads the fields of one KubenatdConfiguration. What is not in it keeps its value in `values`, which count only when
/// `findings` has no mistakes.
void read_settings(const nlohmann::json& document, Settings& values, ConfigFindings& findings);

}  // namespace kubenatd::agent::config
