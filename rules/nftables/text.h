#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "rules/nftables/desired.h"

/// nftables mode in nft's own words, close to what `nft list ruleset` (1.0.6) prints. Pure.
namespace kubenatd::rules::nftables {

/// "ip daddr . meta l4proto . th dport @external goto external"
[[nodiscard]] std::string to_text(const NftRule& rule, Family family);

/// "10.96.0.10 . tcp . 80 . 0x00000000 comment "demo/web:http" : 10.244.1.5 . 8080"
[[nodiscard]] std::string to_text(const ElementKey& key, const ElementValue& value, const SetSpec& set, Family family);

/// The whole table, its elements sorted. `devices` are those of the flowtable, if there is one.
[[nodiscard]] std::string to_text(const DesiredElements& desired, Family family,
                                  const DesiredElements::AsIf& as_if = {}, const std::set<std::string>& devices = {});

}  // namespace kubenatd::rules::nftables
