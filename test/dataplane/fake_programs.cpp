#include "test/dataplane/fake_programs.h"

#include <stdexcept>

namespace kubenatd::agent::test {

using rules::Family;

FakePrograms::FakePrograms(kubenatd::test::FakeKernel& kernel) : kernel_(kernel), writer_(kernel) {}

std::string FakePrograms::run(const std::vector<std::string>& words, const std::string& input) {
  const std::string& program = words.at(0);
  const std::vector<std::string> arguments(words.begin() + 1, words.end());
  if (program == "iptables") return iptables(Family::kIpv4, arguments);
  if (program == "ip6tables") return iptables(Family::kIpv6, arguments);
  if (program == "iptables-save") return iptables_save(Family::kIpv4, arguments);
  if (program == "ip6tables-save") return iptables_save(Family::kIpv6, arguments);
  if (program == "nft") return nft(arguments, input);
  if (program == "conntrack") return conntrack(arguments);
  throw std::runtime_error("the fake kernel has no " + program);
}

void FakePrograms::commit(netlink::Batch& batch, const std::string& what) {
  if (batch.empty()) return;
  if (const auto committed = writer_.write(batch); !committed)
    throw std::runtime_error(what + ": " + committed.error().error.to_string());
}

}  // namespace kubenatd::agent::test
