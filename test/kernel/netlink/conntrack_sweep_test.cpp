#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "netlink/host/conntrack.h"
#include "test/support/netns.h"

// Entries are made and listed by conntrack(8), an encoder and decoder that is not ours.
namespace kubenatd::netlink {
namespace {

bool enter_with_conntrack() {
  if (!test::enter_fresh_namespace()) return false;
  if (std::system("command -v conntrack >/dev/null") == 0) return true;
  std::printf("SKIPPED: conntrack(8) is not installed\n");
  return false;
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  std::array<char, 4096> part{};
  while (const std::size_t size = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), size);
  pclose(pipe);
  return text;
}

std::size_t entries(const std::string& options) {
  std::istringstream text(output_of("conntrack -L " + options + " 2>/dev/null"));
  std::size_t count = 0;
  for (std::string line; std::getline(text, line);)
    if (line.find(" src=") != std::string::npos) ++count;
  return count;
}

/// Makes the entries described by the lines, each in the form of conntrack -I.
void load(const std::string& lines) {
  std::array<char, 64> path{"/tmp/kubenatd-conntrack-XXXXXX"};
  const int fd = mkstemp(path.data());
  REQUIRE(fd >= 0);
  close(fd);
  std::ofstream(path.data()) << lines;
  const std::string text = output_of(std::string("conntrack -R ") + path.data() + " 2>&1");
  unlink(path.data());
  INFO(text);
  REQUIRE(text.find("rror") == std::string::npos);
}

std::string udp(const std::string& client, int client_port, const std::string& to, int port,
                const std::string& endpoint, int endpoint_port, const std::string& more = {}) {
  std::ostringstream line;
  line << "-I -p udp -s " << client << " -d " << to << " --sport " << client_port << " --dport " << port << " -r "
       << endpoint << " -q " << client << " --reply-port-src " << endpoint_port << " --reply-port-dst " << client_port
       << " -t 600 " << more << "\n";
  return line.str();
}

rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

const auto kAll = [](const host::ConntrackFlow&) { return true; };
const auto kNone = [](const host::ConntrackFlow&) { return false; };

}  // namespace

TEST_CASE("conntrack sweep: every field of an entry is read", "[short]") {
  if (!enter_with_conntrack()) return;
  load(udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.5", 5353, "-w 7") +
       udp("fd00::1", 40001, "fd00:96::10", 54, "fd00:244::5", 5354));
  std::vector<host::ConntrackFlow> flows;
  const auto collect = [&](const host::ConntrackFlow& flow) {
    flows.push_back(flow);
    return false;
  };
  const rules::Result<host::ConntrackSweep> v4 = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, collect);
  REQUIRE(v4);
  CHECK(v4->seen == 1);
  CHECK(v4->deleted == 0);
  const rules::Result<host::ConntrackSweep> v6 = host::sweep_conntrack(rules::Family::kIpv6, IPPROTO_UDP, collect);
  REQUIRE(v6);
  CHECK(v6->seen == 1);
  REQUIRE(flows.size() == 2);
  CHECK(flows[0].protocol == IPPROTO_UDP);
  CHECK(flows[0].original_source == ip("10.0.0.1"));
  CHECK(flows[0].original_source_port == 40000);
  CHECK(flows[0].original_destination == ip("10.96.0.10"));
  CHECK(flows[0].original_destination_port == 53);
  CHECK(flows[0].reply_source == ip("10.244.1.5"));
  CHECK(flows[0].reply_source_port == 5353);
  CHECK(flows[0].zone == 7);
  CHECK(flows[1].original_source == ip("fd00::1"));
  CHECK(flows[1].original_destination == ip("fd00:96::10"));
  CHECK(flows[1].original_destination_port == 54);
  CHECK(flows[1].reply_source == ip("fd00:244::5"));
  CHECK(flows[1].reply_source_port == 5354);
  CHECK(flows[1].zone == 0);
}

TEST_CASE("conntrack sweep: the stale entries go, the right ones and TCP stay") {
  if (!enter_with_conntrack()) return;
  const bool v4 = GENERATE(true, false);
  CAPTURE(v4);
  const std::string client = v4 ? "10.0.0.1" : "fd00::1";
  const std::string vip = v4 ? "10.96.0.10" : "fd00:96::10";
  const std::string gone = v4 ? "10.244.1.5" : "fd00:244::5";
  const std::string right = v4 ? "10.244.1.6" : "fd00:244::6";
  std::string tcp = udp(client, 40000, vip, 53, gone, 5353, "--state ESTABLISHED");
  tcp.replace(tcp.find("udp"), 3, "tcp");
  load(udp(client, 40000, vip, 53, gone, 5353) + udp(client, 40001, vip, 53, right, 5353) +
       udp(client, 40002, vip, 53, vip, 53) + tcp);

  const auto stale = [&](const host::ConntrackFlow& flow) {
    return flow.original_destination == ip(vip) && flow.reply_source != ip(right);
  };
  const rules::Family family = v4 ? rules::Family::kIpv4 : rules::Family::kIpv6;
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(family, IPPROTO_UDP, stale);
  REQUIRE(sweep);
  CHECK(sweep->seen == 3);
  CHECK(sweep->deleted == 2);
  const std::string family_option = v4 ? "-f ipv4" : "-f ipv6";
  CHECK(entries(family_option + " -p udp") == 1);
  CHECK(entries(family_option + " -p udp --sport 40001") == 1);
  CHECK(entries(family_option + " -p tcp") == 1);

  SECTION("a second sweep has nothing to do") {
    const rules::Result<host::ConntrackSweep> again = host::sweep_conntrack(family, IPPROTO_UDP, stale);
    REQUIRE(again);
    CHECK(again->seen == 1);
    CHECK(again->deleted == 0);
  }
  SECTION("another protocol can be asked for") {
    const rules::Result<host::ConntrackSweep> other = host::sweep_conntrack(family, IPPROTO_TCP, kAll);
    REQUIRE(other);
    CHECK(other->seen == 1);
    CHECK(other->deleted == 1);
    CHECK(entries(family_option + " -p udp") == 1);
  }
}

TEST_CASE("conntrack sweep: a family is left alone by the other's sweep") {
  if (!enter_with_conntrack()) return;
  load(udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.5", 5353) +
       udp("fd00::1", 40000, "fd00:96::10", 53, "fd00:244::5", 5353));
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(rules::Family::kIpv6, IPPROTO_UDP, kAll);
  REQUIRE(sweep);
  CHECK(sweep->deleted == 1);
  CHECK(entries("-f ipv4 -p udp") == 1);
  CHECK(entries("-f ipv6 -p udp") == 0);
}

TEST_CASE("conntrack sweep: the same flow in different zones is told apart") {
  if (!enter_with_conntrack()) return;
  // Zone 8 holds for the original direction only, zone 9 for the reply: such zones are inside the tuples.
  load(udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.5", 5353) +
       udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.5", 5353, "-w 7") +
       udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.6", 5353, "--orig-zone 8") +
       udp("10.0.0.1", 40001, "10.96.0.10", 53, "10.244.1.7", 5353, "--reply-zone 9"));
  std::multiset<unsigned> zones;
  const auto stale = [&](const host::ConntrackFlow& flow) {
    zones.insert(flow.zone);
    return flow.zone == 7 || flow.zone == 8 || flow.original_source_port == 40001;
  };
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, stale);
  REQUIRE(sweep);
  CHECK(zones == std::multiset<unsigned>{0, 0, 7, 8});
  CHECK(sweep->deleted == 3);
  CHECK(entries("-p udp") == 1);
  CHECK(entries("-p udp --reply-src 10.244.1.5 -w 0") == 1);
}

TEST_CASE("conntrack sweep: an entry that goes by itself meanwhile is no error") {
  if (!enter_with_conntrack()) return;
  load(udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.5", 5353) +
       udp("10.0.0.1", 40001, "10.96.0.10", 53, "10.244.1.5", 5353));
  const auto stale = [](const host::ConntrackFlow& flow) {
    if (flow.original_source_port == 40000) (void)output_of("conntrack -D -p udp --sport 40000 2>/dev/null");
    return true;
  };
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, stale);
  REQUIRE(sweep);
  CHECK(sweep->seen == 2);
  CHECK(sweep->deleted == 1);
  CHECK(entries("-p udp") == 0);
}

TEST_CASE("conntrack sweep: a whole group of entries that are gone is no error") {
  if (!enter_with_conntrack()) return;
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += udp("10.0.0.1", 40000 + i, "10.96.0.10", 53, "10.244.1.5", 5353);
  load(lines);
  bool first = true;
  const auto stale = [&](const host::ConntrackFlow&) {
    if (first) (void)output_of("conntrack -D -p udp 2>/dev/null");
    first = false;
    return true;
  };
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, stale);
  REQUIRE(sweep);
  CHECK(sweep->seen > 64);  // what the kernel had put into its answer already
  CHECK(sweep->deleted == 0);
}

TEST_CASE("conntrack sweep: an entry that has taken the place of a stale one is not deleted") {
  if (!enter_with_conntrack()) return;
  const std::string old = udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.5", 5353);
  load(old);
  const auto stale = [](const host::ConntrackFlow&) {
    (void)output_of("conntrack -D -p udp 2>/dev/null");
    load(udp("10.0.0.1", 40000, "10.96.0.10", 53, "10.244.1.6", 5353));
    return true;
  };
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, stale);
  REQUIRE(sweep);
  CHECK(sweep->deleted == 0);
  CHECK(entries("-p udp --reply-src 10.244.1.6") == 1);
}

TEST_CASE("conntrack sweep: many entries, many of them stale") {
  if (!enter_with_conntrack()) return;
  constexpr int kMany = 20000;
  std::string lines;
  for (int i = 0; i < kMany; ++i)
    lines += udp("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1), 40000, "10.96.0.10", 53,
                 i % 4 == 0 ? "10.244.1.6" : "10.244.1.5", 5353);
  load(lines);
  REQUIRE(entries("-p udp") == kMany);

  const rules::Result<host::ConntrackSweep> looked = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, kNone);
  REQUIRE(looked);
  CHECK(looked->seen == kMany);
  CHECK(looked->deleted == 0);

  const rules::Address gone = ip("10.244.1.5");
  const auto stale = [&](const host::ConntrackFlow& flow) { return flow.reply_source == gone; };
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, stale);
  REQUIRE(sweep);
  CHECK(sweep->seen >= kMany);  // a dump may show an entry twice when others go
  CHECK(sweep->deleted == kMany * 3 / 4);
  CHECK(entries("-p udp") == kMany / 4);
  CHECK(entries("-p udp --reply-src 10.244.1.5") == 0);
}

TEST_CASE("conntrack sweep: without the rights it fails by name") {
  if (!test::enter_fresh_namespace()) return;
  if (setresuid(65534, 65534, 65534) != 0) {
    std::printf("SKIPPED: no rights: cannot become another user\n");
    return;
  }
  const rules::Result<host::ConntrackSweep> sweep = host::sweep_conntrack(rules::Family::kIpv4, IPPROTO_UDP, kAll);
  REQUIRE_FALSE(sweep);
  CHECK(sweep.error().code == EPERM);
  CHECK(sweep.error().object == "IPv4 conntrack entries");
}

}  // namespace kubenatd::netlink
