#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule.h"

/// iptables-save text, as iptables 1.8.9 (nf_tables) prints it.
namespace kubenatd::rules {

/// The rule without its "-A CHAIN ": "-d 10.96.0.1/32 -p tcp ... -j KUBE-SVC-X". Opaque rules give their description.
[[nodiscard]] std::string to_text(const Rule& rule, Family family);

/// One table's part of an iptables-save text.
struct TableText {
  Table table;
  struct Chain {
    std::string name;
    bool is_builtin = false;  ///< printed with policy ACCEPT, in the order given, before the others
    std::vector<Rule> rules;
  };
  std::vector<Chain> chains;  ///< others are sorted by name on output
};

/// "*TABLE", chain lines, rules, "COMMIT", for each table in the order given. No comment lines, no counters.
[[nodiscard]] std::string to_save_text(const std::vector<TableText>& tables, Family family);

}  // namespace kubenatd::rules
