#include "rules/walk/judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "rules/walk/judge_rule.h"

namespace kubenatd::rules::walk {

std::vector<Branch> judge(const Ruleset& ruleset, const WalkTable& table, const WalkRule& rule,
                          const PacketState& state, const Surroundings& surroundings) {
  SetIndexes indexes;
  return judge(ruleset, table, rule, state, surroundings, indexes);
}

std::string describe_mismatch(Part part, const Mark& mark) {
  switch (part) {
    case Part::kNone: return "";
    case Part::kSource: return "the source address does not fit";
    case Part::kDestination: return "the destination address does not fit";
    case Part::kInInterface: return "the packet comes in by another interface";
    case Part::kOutInterface: return "the packet goes out by another interface";
    case Part::kProtocol: return "the protocol is another one";
    case Part::kSourcePort: return "the source port does not fit";
    case Part::kDestinationPort: return "the destination port does not fit";
    case Part::kMark:
      if (mark.unknown != 0) return fmt::format("the mark is {:#x}, but for the bits {:#x}", mark.bits, mark.unknown);
      return fmt::format("the mark is {:#x}", mark.bits);
    case Part::kState: return "the connection is in another state";
    case Part::kSourceType: return "the source is an address of another type";
    case Part::kDestinationType: return "the destination is an address of another type";
    case Part::kSet: return "a set does not have the packet";
    case Part::kOther: return "another part of the rule does not fit";
  }
  return "";
}

}  // namespace kubenatd::rules::walk
