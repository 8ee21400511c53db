#include "agent/config/conntrack_settings.h"

#include <catch2/catch.hpp>
#include <map>

#include "test/support/process.h"
#include "test/unit/config/config_support.h"

using namespace kubenatd::agent::config;
using namespace kubenatd::test;

namespace {

std::map<std::string, ConntrackSetting> wanted(const Config& config, std::size_t cpus) {
  std::map<std::string, ConntrackSetting> all;
  for (ConntrackSetting& setting : wanted_conntrack_settings(config.conntrack, cpus)) {
    CHECK(all.emplace(setting.name, setting).second);
  }
  return all;
}

/// A folder that looks like /proc/sys and /sys of a kernel with connection tracking.
struct FakeKernel {
  TempFolder folder;
  KernelPaths paths{folder.path() / "proc", folder.path() / "sys"};

  void put(std::string_view name, const std::string& value) const { folder.write("proc/" + std::string(name), value); }
  void put_hash_size(const std::string& value) const { folder.write("sys/" + std::string(kConntrackHashSize), value); }
  [[nodiscard]] std::string get(std::string_view name) const { return read_file(paths.proc_sys / name); }
};

std::string all_of(const ConntrackOutcome& outcome) {
  std::string text;
  for (const auto* lines : {&outcome.changed, &outcome.left, &outcome.failed}) {
    for (const std::string& line : *lines) text += line + "\n";
    text += "--\n";
  }
  return text;
}

}  // namespace

TEST_CASE("by default the table's size and two TCP timeouts are wanted, and nobody asked for them") {
  const auto all = wanted(default_config(), 8);
  CHECK(all.size() == 4);
  CHECK(all.at(std::string(kSysctlConntrackMax)).value == 262144);
  CHECK(all.at(std::string(kConntrackHashSize)).value == 65536);
  CHECK(all.at(std::string(kSysctlTcpEstablished)).value == 86400);
  CHECK(all.at(std::string(kSysctlTcpCloseWait)).value == 3600);
  for (const auto& [name, setting] : all) CHECK_FALSE(setting.asked);
}

TEST_CASE("the smallest table size holds for machines with few CPUs") {
  CHECK(wanted(default_config(), 2).at(std::string(kSysctlConntrackMax)).value == 131072);
  CHECK(wanted(accepted("conntrack: {min: 0}").config, 2).at(std::string(kSysctlConntrackMax)).value == 65536);
}

TEST_CASE("large numbers do not overflow") {
  const auto all = wanted(accepted("conntrack: {maxPerCore: 2147483647}").config, 8192);
  CHECK(all.at(std::string(kSysctlConntrackMax)).value == 2147483647LL * 8192);
}

TEST_CASE("zero leaves the kernel's settings alone") {
  CHECK(wanted(accepted("conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}").config, 8)
            .empty());
}

TEST_CASE("what the file sets is asked for, what it leaves null is not") {
  const auto all = wanted(accepted("conntrack: {min: 1, tcpCloseWaitTimeout: 30m, tcpEstablishedTimeout: null, "
                                   "tcpBeLiberal: true, udpTimeout: 10s, udpStreamTimeout: 20s}")
                              .config,
                          1);
  CHECK(all.size() == 7);
  CHECK(all.at(std::string(kSysctlConntrackMax)).asked);
  CHECK(all.at(std::string(kSysctlConntrackMax)).value == 32768);
  CHECK(all.at(std::string(kSysctlTcpCloseWait)).asked);
  CHECK(all.at(std::string(kSysctlTcpCloseWait)).value == 1800);
  CHECK_FALSE(all.at(std::string(kSysctlTcpEstablished)).asked);
  CHECK(all.at("net/netfilter/nf_conntrack_tcp_be_liberal").asked);
  CHECK(all.at(std::string(kSysctlUdp)).value == 10);
  CHECK(all.at(std::string(kSysctlUdpStream)).value == 20);
}

TEST_CASE("only what differs is written") {
  const FakeKernel kernel;
  kernel.put(kSysctlConntrackMax, "131072\n");
  kernel.put(kSysctlTcpEstablished, "432000\n");
  kernel.put(kSysctlTcpCloseWait, "3600\n");
  kernel.put_hash_size("65536\n");  // larger than wanted: stays
  const auto settings = wanted_conntrack_settings(default_config().conntrack, 2);
  const ConntrackOutcome outcome = apply_conntrack_settings(settings, kernel.paths);
  INFO(all_of(outcome));
  REQUIRE(outcome.changed.size() == 1);
  CHECK(outcome.changed[0] == "net/netfilter/nf_conntrack_tcp_timeout_established: 86400 instead of 432000");
  CHECK(outcome.left.empty());
  CHECK(outcome.failed.empty());
  CHECK_FALSE(outcome.not_loaded);
  // A folder is not the kernel: the file keeps what a shorter write leaves.
  CHECK(kernel.get(kSysctlTcpEstablished).starts_with("86400"));
  CHECK(kernel.get(kSysctlConntrackMax) == "131072\n");
}

TEST_CASE("settings that the kernel does not have yet are told, and nothing failed") {
  const FakeKernel kernel;
  const auto settings = wanted_conntrack_settings(accepted("conntrack: {min: 1}").config.conntrack, 2);
  const ConntrackOutcome outcome = apply_conntrack_settings(settings, kernel.paths);
  INFO(all_of(outcome));
  CHECK(outcome.not_loaded);
  CHECK(outcome.left.size() == 4);
  CHECK(outcome.failed.empty());
}

TEST_CASE("a setting that cannot be written fails only when it was asked for") {
  const FakeKernel kernel;
  // A folder in the setting's place can be opened by nobody for writing, root included.
  std::filesystem::create_directories(kernel.paths.proc_sys / kSysctlTcpEstablished);
  kernel.put(kSysctlTcpCloseWait, "3600");
  const auto outcome_of = [&](const std::string& fields) {
    return apply_conntrack_settings(wanted_conntrack_settings(accepted(fields).config.conntrack, 2), kernel.paths);
  };
  const ConntrackOutcome asked = outcome_of("conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 1h}");
  INFO(all_of(asked));
  REQUIRE(asked.failed.size() == 1);
  CHECK(asked.failed[0].starts_with("conntrack.tcpEstablishedTimeout: "));
  CHECK(asked.failed[0].find(std::string(kSysctlTcpEstablished)) != std::string::npos);
  CHECK(asked.left.empty());

  const ConntrackOutcome by_default = outcome_of("conntrack: {maxPerCore: 0}");
  INFO(all_of(by_default));
  CHECK(by_default.failed.empty());
  CHECK(by_default.left.size() == 1);
}

TEST_CASE("CPUs are counted from the kernel's list") {
  const TempFolder folder;
  const auto count = [&](const std::string& list) {
    folder.write("devices/system/cpu/online", list);
    return count_cpus(folder.path());
  };
  CHECK(count("0\n") == 1);
  CHECK(count("0-63\n") == 64);
  CHECK(count("0-3,8,10-11\n") == 7);
  // What is no list gives way to what the C library says, which is something.
  for (const char* list : {"", "a", "3-1", "0-", "0-99999999", "0-99999999999999999999"}) CHECK(count(list) >= 1);
  CHECK(count_cpus("/nonexistent") >= 1);
}
