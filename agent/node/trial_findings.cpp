#include "agent/node/trial_findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "agent/dataplane/kernel_features.h"
#include "agent/dataplane/trial.h"

namespace kubenatd::agent::node {
namespace {

using config::Config;
using dataplane::find_kernel_feature;
using dataplane::KernelFeature;
using netlink::TriedMessage;
using rules::Operation;

constexpr std::string_view kNoNfTables =
    "it is a very old or cut down kernel, or a sandbox as gVisor, in which neither mode can run";

/// Answers that mean: I have not got it.
bool is_absence(int code) {
  switch (code) {
    case ENOENT:
    case EOPNOTSUPP:
    case EINVAL:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT: return true;
    default: return false;
  }
}

bool is_xt(std::string_view feature) {
  return feature.starts_with("match ") || feature.starts_with("target ");
}

/// What one trial says, by the names of features.
class Judgement {
 public:
  Judgement(const Trial& trial, std::string_view release) : trial_(trial), release_(release) {
    for (const TriedMessage& message : *trial.answers) {
      all_.insert(message.features.begin(), message.features.end());
      if (!message.refusal) {
        accepted_.insert(message.features.begin(), message.features.end());
      } else if (message.operation == Operation::kCreateTable) {
        refused_tables_.emplace(message.object.table, &*message.refusal);
      } else if (message.operation == Operation::kCreateChain) {
        refused_chains_.emplace(message.object.table, message.object.name);
      } else if (message.operation == Operation::kCreateSet) {
        set_refused_ = true;
      }
    }
    for (const TriedMessage& message : *trial.answers)
      if (message.refusal) sort_in(message);
  }

  [[nodiscard]] Findings tell() {
    Findings findings;
    if (!refused_tables_.empty()) tell_tables(findings);
    // Without tables nothing else was tried.
    if (refused_tables_.size() == tables()) return findings;
    bool core = true;
    for (const auto& [name, refusal] : missing_) {
      const KernelFeature* feature = find_kernel_feature(name);
      if (feature != nullptr && feature->is_core()) core = false;
    }
    if (core && refused_tables_.empty())
      findings.push_back(of("nf_tables", State::kYes, "tables, chains, sets and its own expressions"));
    if (lacks_compat()) findings.push_back(no_compat());
    for (const KernelFeature& feature : dataplane::kernel_features()) {
      if (feature.name == "table" || !all_.contains(std::string(feature.name))) continue;
      if (is_xt(feature.name) && lacks_compat()) continue;
      const auto refused = missing_.find(std::string(feature.name));
      if (refused != missing_.end())
        findings.push_back(absent(feature, *refused->second));
      else if (!feature.is_core() && accepted_.contains(std::string(feature.name)))
        findings.push_back(described(feature, State::kYes));
    }
    for (const auto& [name, refusal] : missing_)
      if (find_kernel_feature(name) == nullptr)
        findings.push_back(of(name, State::kMissing, rules::cause_of(*refusal)));
    if (!others_.empty()) findings.push_back(of("refused", State::kMissing, *others_.begin()));
    return findings;
  }

 private:
  [[nodiscard]] std::size_t tables() const {
    std::set<std::string> names;
    for (const TriedMessage& message : *trial_.answers)
      if (message.operation == Operation::kCreateTable) names.insert(message.object.table);
    return names.size();
  }

  void sort_in(const TriedMessage& message) {
    const rules::Refusal& refusal = *message.refusal;
    if (refused_tables_.contains(message.object.table)) return;
    if (message.operation == Operation::kAddRule &&
        refused_chains_.contains({message.object.table, message.object.name}))
      return;
    std::vector<std::string> suspects = message.features;
    if (!refusal.expression.empty()) suspects = {refusal.expression};
    bool explained = false;
    for (const std::string& name : suspects) {
      // A set that is not there is no fault of who looks into it.
      if (set_refused_ && message.operation == Operation::kAddRule && (name == "lookup" || name == "dynset")) {
        explained = true;
      } else if (!accepted_.contains(name)) {
        missing_.emplace(name, &refusal);
        explained = true;
      }
    }
    if (!explained) others_.insert(rules::to_error(refusal).to_string());
  }

  [[nodiscard]] Finding of(std::string name, State state, std::string what) const {
    return {
        .name = std::move(name), .state = state, .mode = trial_.mode, .family = trial_.family, .what = std::move(what)};
  }
  [[nodiscard]] Finding described(const KernelFeature& feature, State state) const {
    Finding finding = of(std::string(feature.name), state, {});
    finding.option = feature.option(trial_.family);
    finding.module = feature.module(trial_.family);
    finding.since = feature.since;
    return finding;
  }

  void tell_tables(Findings& findings) const {
    const auto& [name, refusal] = *refused_tables_.begin();
    if (refusal->code == EPERM) {
      Finding owned = of("table-owner", State::kMissing,
                         fmt::format("{} belongs to another program alone", rules::to_text(refusal->object)));
      owned.remedy = "nft -a list tables shows its flag owner; let that program give it up";
      findings.push_back(std::move(owned));
      return;
    }
    Finding finding = described(*find_kernel_feature("table"), absence(refusal->code));
    finding.name = "nf_tables";
    finding.what = "no tables of this family: " + rules::cause_of(*refusal);
    finding.remedy = trial_.family == rules::Family::kIpv6
                         ? "the kernel has to be built with it; where IPv6 is not used, "
                           "ipv6.disable=1 in its command line leaves the family out"
                         : "the kernel has to be built with it";
    findings.push_back(std::move(finding));
  }

  [[nodiscard]] static State absence(int code) { return is_absence(code) ? State::kMissing : State::kUnknown; }

  [[nodiscard]] Finding absent(const KernelFeature& feature, const rules::Refusal& refusal) const {
    Finding finding = described(feature, absence(refusal.code));
    finding.what = "the kernel says " + std::generic_category().message(refusal.code);
    if (!refusal.explanation.empty()) finding.what.append(": ").append(refusal.explanation);
    if (finding.state == State::kUnknown) return finding;
    if (!feature.only_for.empty()) {
      finding.state = State::kWarning;
      finding.what += fmt::format("; without it these are not served: {}", feature.only_for);
    }
    if (feature.is_core()) {
      finding.remedy = "a newer kernel";
      return finding;
    }
    finding.remedy =
        fmt::format("modprobe {}; where there is no such module, a kernel with the option", finding.module);
    if (feature.name == "numgen" || feature.name == "hash" || feature.name == "fib") {
      if (release_.find("linuxkit") != std::string_view::npos)
        finding.what += "; kernels of LinuxKit (Docker Desktop) may lack it";
      finding.remedy += "; iptables mode does without it";
    } else if (is_xt(feature.name)) {
      finding.remedy += extra_package() + "; nftables mode does without it";
    }
    return finding;
  }

  /// No match and no target of x_tables was taken.
  [[nodiscard]] bool lacks_compat() const {
    bool any = false;
    for (const std::string& name : all_) {
      if (!is_xt(name)) continue;
      if (accepted_.contains(name)) return false;
      any = any || missing_.contains(name);
    }
    return any;
  }

  [[nodiscard]] Finding no_compat() const {
    const rules::Refusal* refusal = nullptr;
    for (const auto& [name, one] : missing_)
      if (is_xt(name)) refusal = one;
    Finding finding =
        of("nft_compat", absence(refusal->code),
           "no match and no target of x_tables: the kernel says " + std::generic_category().message(refusal->code));
    finding.option = "CONFIG_NFT_COMPAT";
    finding.module = "nft_compat";
    finding.since = "3.13";
    finding.remedy = "modprobe nft_compat" + extra_package() + "; nftables mode does without it";
    return finding;
  }

  /// What distributions do not install by themselves.
  [[nodiscard]] std::string extra_package() const {
    if (release_.find(".el10") != std::string_view::npos)
      return fmt::format(" (on RHEL 10 and its kin: dnf install kernel-modules-extra-{})", release_);
    if (release_.find(".el") != std::string_view::npos)
      return fmt::format(" (on RHEL and its kin: dnf install kernel-modules kernel-modules-extra-{})", release_);
    return {};
  }

  const Trial& trial_;
  std::string_view release_;
  std::set<std::string> all_, accepted_;
  std::map<std::string, const rules::Refusal*> refused_tables_;
  std::set<std::pair<std::string, std::string>> refused_chains_;
  bool set_refused_ = false;
  std::map<std::string, const rules::Refusal*> missing_;
  std::set<std::string> others_;  ///< refusals that no missing part explains
};

Finding judge_whole(const Trial& trial, const rules::Error& error) {
  Finding finding{.name = "nf_tables", .state = State::kUnknown, .mode = trial.mode, .family = trial.family};
  finding.what = error.cause;
  if (error.code == EPERM || error.code == EACCES) {
    finding.what = "nothing can be tried out without CAP_NET_ADMIN: " + error.cause;
    return finding;
  }
  if (!is_absence(error.code)) return finding;
  const KernelFeature& feature = *find_kernel_feature("table");
  finding.state = State::kMissing;
  finding.what = fmt::format("this kernel has no nf_tables ({})", error.cause);
  finding.option = "CONFIG_NF_TABLES";
  finding.module = feature.module(trial.family);
  finding.since = feature.since;
  finding.remedy = fmt::format("modprobe nf_tables; where there is no such module, {}", kNoNfTables);
  return finding;
}

}  // namespace

std::vector<Trial> try_mode(dataplane::Kernel& kernel, Config::Mode mode, std::span<const rules::Family> families,
                            const dataplane::NodeFacts& facts) {
  netlink::Batch all;
  std::vector<std::size_t> messages;
  for (const rules::Family family : families) {
    const netlink::Batch batch = dataplane::make_trial(mode, family, facts);
    all.append(batch);
    messages.push_back(batch.messages());
  }
  auto socket = kernel.connect();
  auto answers = socket ? netlink::try_out(**socket, all)
                        : rules::Result<std::vector<TriedMessage>>(std::unexpected(std::move(socket.error())));
  std::vector<Trial> trials;
  std::size_t first = 0;
  for (std::size_t i = 0; i < families.size(); ++i) {
    Trial trial{.mode = mode, .family = families[i], .answers = {}};
    if (answers) {
      const auto begin = answers->begin() + static_cast<std::ptrdiff_t>(first);
      trial.answers = std::vector<TriedMessage>(begin, begin + static_cast<std::ptrdiff_t>(messages[i]));
      first += messages[i];
    } else {
      trial.answers = std::unexpected(answers.error());
    }
    trials.push_back(std::move(trial));
  }
  return trials;
}

Findings judge(const Trial& trial, std::string_view release) {
  if (!trial.answers) return {judge_whole(trial, trial.answers.error())};
  return Judgement(trial, release).tell();
}

}  // namespace kubenatd::agent::node
