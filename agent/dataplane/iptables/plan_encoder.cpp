#include "agent/dataplane/iptables/plan_encoder.h"

#include "netlink/iptables/writer.h"

namespace kubenatd::agent::dataplane::iptables {

namespace writer = netlink::iptables;
using rules::Table;
using rules::iptables::Part;

netlink::Batch& PlanEncoder::batch_of(Part part) {
  switch (part) {
    case Part::kFresh: return fresh_;
    case Part::kVisible: return visible_;
    case Part::kGarbage: break;
  }
  return garbage_;
}

void PlanEncoder::make_table(Part part, Table table) {
  writer::add_table(batch_of(part), family_, table);
}

void PlanEncoder::make_base_chain(Part part, Table table, std::string_view chain) {
  writer::add_base_chain(batch_of(part), family_, table, chain);
}

void PlanEncoder::make_chain(Part part, Table table, std::string_view chain, bool only_new) {
  // Before the chain, not after it: so the last transaction is never empty.
  if (part == Part::kFresh && fresh_.bytes() >= kStageBytes) {
    if (!failure_) {
      if (auto sent = stage_(fresh_); !sent) failure_ = sent.error();
    }
    fresh_.clear();
  }
  writer::add_chain(batch_of(part), family_, table, chain, only_new);
}

void PlanEncoder::flush_chain(Part part, Table table, std::string_view chain) {
  writer::flush_chain(batch_of(part), family_, table, chain);
}

void PlanEncoder::add_rule(Part part, Table table, std::string_view chain, const rules::Rule& rule,
                           rules::iptables::Placement place, bool echo) {
  writer::add_rule(batch_of(part), family_, table, chain, rule, place, echo, form_);
}

void PlanEncoder::delete_rule(Part part, Table table, std::string_view chain, std::uint64_t handle) {
  writer::delete_rule(batch_of(part), family_, table, chain, handle);
}

void PlanEncoder::delete_chain(Part part, Table table, std::string_view chain) {
  writer::delete_chain(batch_of(part), family_, table, chain);
}

void PlanEncoder::finish() {
  fresh_.append(visible_);
  visible_.release();
  fresh_.append(garbage_);
  garbage_.release();
}

}  // namespace kubenatd::agent::dataplane::iptables
