#include "test/support/fake/kernel.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "netlink/core/names.h"
#include "netlink/iptables/rule_decoder.h"
#include "test/support/fake/socket.h"

namespace kubenatd::test {
namespace {

using netlink::host::ConntrackFlow;
using netlink::host::ConntrackSweep;

std::string own_name() {
  std::array<char, 17> name{};
  prctl(PR_GET_NAME, name.data());
  return name.data();
}

std::uint32_t next_port() {
  static std::atomic<std::uint32_t> next = 0x10000;
  return ++next;
}

}  // namespace

FakeKernel::FakeKernel() : core_(std::make_shared<fake::Core>()) {}

rules::Result<std::unique_ptr<netlink::Socket>> FakeKernel::connect() {
  return connect_as(static_cast<std::uint32_t>(getpid()), own_name());
}

std::unique_ptr<netlink::Socket> FakeKernel::connect_as(std::uint32_t process_id, std::string process_name) {
  return std::make_unique<fake::FakeSocket>(core_, next_port(), fake::Process{process_id, std::move(process_name)});
}

rules::Result<ConntrackSweep> FakeKernel::sweep_flows(rules::Family family, std::uint8_t protocol,
                                                      const std::function<bool(const ConntrackFlow&)>& stale) {
  const std::lock_guard lock(core_->mutex());
  fake::Faults& faults = core_->faults();
  if (fake::Faults::take(faults.failing_sweeps))
    return rules::fail("conntrack", "dump", std::strerror(faults.sweep_code), faults.sweep_code);
  ConntrackSweep sweep;
  std::erase_if(core_->flows(), [&](const ConntrackFlow& flow) {
    if (flow.original_destination.family != family || flow.protocol != protocol) return false;
    ++sweep.seen;
    if (!stale(flow)) return false;
    ++sweep.deleted;
    return true;
  });
  return sweep;
}

// --- what goes wrong

void FakeKernel::refuse(MessageTest test, int code, std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().refuse(std::move(test), code, times);
}

void FakeKernel::refuse_element(ElementTest test, int code, std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().refuse_element(std::move(test), code, times);
}

void FakeKernel::refuse_expression(std::string name, int code, std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().refuse_expression(std::move(name), code, times);
}

void FakeKernel::forget_refusals() {
  const std::lock_guard lock(core_->mutex());
  core_->faults().forget_refusals();
}

void FakeKernel::withhold_rights(bool withheld) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().no_rights = withheld;
}

void FakeKernel::fail_next_commit(int code, std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().commit_code = code;
  core_->faults().failing_commits = times;
}

void FakeKernel::fail_next_send(int code, std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().send_code = code;
  core_->faults().failing_sends = times;
}

void FakeKernel::fail_next_sweep(int code, std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().sweep_code = code;
  core_->faults().failing_sweeps = times;
}

void FakeKernel::lose_next_events(std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().lost_events = times;
}

void FakeKernel::lose_next_answers(std::size_t kept, std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().lost_answers = times;
  core_->faults().kept_answers = kept;
}

void FakeKernel::know_table_flags(std::uint32_t flags) {
  const std::lock_guard lock(core_->mutex());
  core_->ruleset().table_flags = flags;
}

void FakeKernel::hide_positions() {
  const std::lock_guard lock(core_->mutex());
  core_->faults().no_positions = true;
}

void FakeKernel::interrupt_dumps(std::size_t times) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().interrupted_dumps = times;
}

void FakeKernel::before_next_commit(std::function<void()> call) {
  const std::lock_guard lock(core_->mutex());
  core_->faults().before_commit = std::move(call);
}

// --- what is there

const fake::Table* FakeKernel::find(rules::Family family, std::string_view table) const {
  return core_->ruleset().find_table(netlink::number_of(family), table, false);
}

std::uint32_t FakeKernel::generation() const {
  const std::lock_guard lock(core_->mutex());
  return core_->ruleset().generation;
}

std::vector<std::string> FakeKernel::tables(rules::Family family) const {
  const std::lock_guard lock(core_->mutex());
  std::vector<std::string> names;
  for (const auto& table : core_->ruleset().tables)
    if (table->family == netlink::number_of(family)) names.push_back(table->name);
  return names;
}

std::vector<std::string> FakeKernel::chains(rules::Family family, std::string_view table) const {
  const std::lock_guard lock(core_->mutex());
  std::vector<std::string> names;
  if (const fake::Table* found = find(family, table))
    for (const auto& chain : found->chains) names.push_back(chain->name);
  return names;
}

bool FakeKernel::has_chain(rules::Family family, std::string_view table, std::string_view chain) const {
  const std::lock_guard lock(core_->mutex());
  const fake::Table* found = find(family, table);
  return found != nullptr && found->find_chain(chain, false) != nullptr;
}

std::vector<FakeKernel::LiveRule> FakeKernel::rules_of(rules::Family family, std::string_view table,
                                                       std::string_view chain) const {
  const std::lock_guard lock(core_->mutex());
  std::vector<LiveRule> rules;
  const fake::Table* found = find(family, table);
  const fake::Chain* place = found == nullptr ? nullptr : found->find_chain(chain, false);
  if (place == nullptr) return rules;
  for (const auto& rule : place->rules) {
    LiveRule& live = rules.emplace_back();
    live.handle = rule->handle;
    live.expressions = rule->expressions;
    netlink::iptables::RuleCounters counters;
    netlink::iptables::decode_rule(rule->expressions, family, live.rule, counters);
  }
  return rules;
}

std::vector<std::string> FakeKernel::sets(rules::Family family, std::string_view table) const {
  const std::lock_guard lock(core_->mutex());
  std::vector<std::string> names;
  if (const fake::Table* found = find(family, table))
    for (const auto& set : found->sets) names.push_back(set->name);
  return names;
}

std::vector<FakeKernel::LiveElement> FakeKernel::elements(rules::Family family, std::string_view table,
                                                          std::string_view set) const {
  const std::lock_guard lock(core_->mutex());
  std::vector<LiveElement> elements;
  const fake::Table* found = find(family, table);
  const fake::Set* place = found == nullptr ? nullptr : found->find_set(set, false);
  if (place == nullptr) return elements;
  for (const auto& [key, element] : place->elements)
    elements.push_back({key, element->key_end, fake::encode_element(*place, *element)});
  return elements;
}

fake::Core::Counts FakeKernel::counts() const {
  const std::lock_guard lock(core_->mutex());
  return core_->counts();
}

void FakeKernel::add_flow(const ConntrackFlow& flow) {
  const std::lock_guard lock(core_->mutex());
  core_->flows().push_back(flow);
}

std::vector<ConntrackFlow> FakeKernel::flows() const {
  const std::lock_guard lock(core_->mutex());
  return core_->flows();
}

ForeignWriter::ForeignWriter(FakeKernel& kernel, std::uint32_t process_id, std::string process_name)
    : tables_(kernel.connect_as(process_id, std::move(process_name))) {}

}  // namespace kubenatd::test
