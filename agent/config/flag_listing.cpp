#include "agent/config/flag_listing.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/config/kube_proxy_flags.h"

namespace kubenatd::agent::config {
namespace {

bool takes_several(const std::string& name) {
  const auto flags = kube_proxy_flags();
  const auto flag = std::ranges::find(flags, name, &KubeProxyFlag::name);
  if (flag == flags.end()) return false;
  return flag->kind == KubeProxyFlag::Kind::kList || flag->kind == KubeProxyFlag::Kind::kGates;
}

/// An address without the name and password that may stand in it.
std::string without_user(const std::string& url) {
  const std::size_t end = url.find("://") == std::string::npos ? 0 : url.find("://") + 3;
  const std::size_t at = url.substr(0, url.find('/', end)).rfind('@');
  return at == std::string::npos || at < end ? url : url.substr(0, end) + "CLASSIFIED" + url.substr(at);
}

}  // namespace

std::map<std::string, std::string> list_flags(const FlagValues& values) {
  std::map<std::string, std::string> told;
  FlagValues scratch;
  FlagSet flags;
  register_kube_proxy_flags(flags, Command::kRun, scratch);
  register_settings(flags, Command::kRun, scratch);
  flags.for_each([&](const Flag& flag) { told[flag.name] = flag.fallback; });
  for (const auto& [name, texts] : values.given)
    if (!texts.empty()) told[name] = takes_several(name) ? fmt::to_string(fmt::join(texts, ",")) : texts.back();
  for (const Setting& setting : settings())
    if (values.settings_given.contains(setting.flag)) told[std::string(setting.flag)] = setting.text(values.settings);
  told["master"] = without_user(told["master"]);
  if (values.config) told["config"] = values.config->string();
  if (values.write_config_to) told["write-config-to"] = values.write_config_to->string();
  if (values.hostname_override) told["hostname-override"] = *values.hostname_override;
  if (values.verbosity != 0) told["v"] = std::to_string(values.verbosity);
  return told;
}

}  // namespace kubenatd::agent::config
