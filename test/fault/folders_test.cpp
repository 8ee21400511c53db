#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/places.h"

/// Folders whose changes inotify does not tell, that are missing, or whose file system does not answer.
namespace kubenatd::test {
namespace {

namespace fs = std::filesystem;

const ServiceSpec kGood{.name = "good", .cluster_ips = {"10.96.0.10"}};
const ServiceSpec kLate{.name = "late", .cluster_ips = {"10.96.0.12"}};

bool enter_mount_namespace() {
  if (::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return true;
  std::printf("SKIPPED: no rights: a mount namespace of its own: %s\n", std::strerror(errno));
  return false;
}

/// A look comes every 5 s, and a second one for a file that was being written.
constexpr auto kPatience = std::chrono::seconds(30);

bool comes(const BareNode& bare, const std::string& address) {
  return eventually([&] { return has_rule(bare.node, address); }, kPatience);
}

bool goes(const BareNode& bare, const std::string& address) {
  return eventually([&] { return !has_rule(bare.node, address); }, kPatience);
}

bool says(const Child& agent, const std::string& text) {
  return eventually([&] { return agent.err().find(text) != std::string::npos; }, kPatience);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// A node whose folder has the Service "good", and its agent, not started yet.
struct GoodNode {
  GoodNode() { manifests.put(kGood, ready({kPodA})); }
  BareNode bare;
  Manifests manifests;
  Agent agent{bare.node, manifests};
};

/// The program in a user namespace of its own, where `limit` of inotify's is `most`. Its arguments are to be added.
std::vector<std::string> limited(const std::string& limit, int most) {
  return {"unshare",
          "-Urn",
          "bash",
          "-c",
          fmt::format("echo {} > /proc/sys/user/{} && ip link set lo up && exec \"$@\"", most, limit),
          "bash"};
}

/// Whether there may be such a namespace; else a line that counts the test as skipped.
bool may_limit(const std::string& limit) {
  auto command = limited(limit, 1);
  command.emplace_back("true");
  const auto can = run(command);
  if (!can.ok()) std::printf("SKIPPED: no rights: a user namespace of its own: %s\n", can.err.c_str());
  return can.ok();
}

/// Waits until no agent runs on the mount any more, then takes it away.
class Mount {
 public:
  Mount(const std::string& source, fs::path where, const char* type, const std::string& options)
      : where_(std::move(where)),
        done_(::mount(source.c_str(), where_.c_str(), type, 0, options.c_str()) == 0),
        error_(done_ ? 0 : errno) {}
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  ~Mount() { end(); }
  explicit operator bool() const { return done_; }
  [[nodiscard]] int error() const { return error_; }
  void end() {
    if (std::exchange(done_, false)) (void)::umount2(where_.c_str(), MNT_DETACH);
  }

 private:
  fs::path where_;
  bool done_;
  int error_;
};

TEST_CASE("What is mounted over a folder later is served, and goes with the mount") {
  KUBENATD_NEEDS_NAMESPACES();
  if (!enter_mount_namespace()) return;
  const GoodNode node;
  const auto& [bare, manifests, agent] = node;
  const Manifests later;
  later.put(kLate, ready({kPodB}));
  auto daemon = agent.start();
  REQUIRE(comes(bare, "10.96.0.10/32"));
  REQUIRE(::mount(later.path().c_str(), manifests.path().c_str(), nullptr, MS_BIND, nullptr) == 0);
  CHECK(comes(bare, "10.96.0.12/32"));
  CHECK(goes(bare, "10.96.0.10/32"));
  REQUIRE(::umount2(manifests.path().c_str(), MNT_DETACH) == 0);
  CHECK(comes(bare, "10.96.0.10/32"));
  CHECK(goes(bare, "10.96.0.12/32"));
  INFO(daemon.err());
  CHECK(daemon.running());
}

TEST_CASE("A file that changes below an overlay is noticed") {
  KUBENATD_NEEDS_NAMESPACES();
  if (!enter_mount_namespace()) return;
  const BareNode bare;
  const TempFolder work;
  const Mount disk("none", work.path(), "tmpfs", "size=16m");  // an overlay's layers may not be an overlay
  REQUIRE(disk);
  for (const char* part : {"lower", "upper", "work"}) fs::create_directory(work.path() / part);
  const Manifests manifests;
  const Mount overlay("none", manifests.path(), "overlay",
                      fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", work.path().string()));
  if (!overlay) {
    std::printf("SKIPPED: no overlay here: %s\n", std::strerror(overlay.error()));
    return;
  }
  const Manifests elsewhere;
  elsewhere.put(kLate, ready({kPodB}));
  const Agent agent(bare.node, manifests);
  auto daemon = agent.start();
  REQUIRE(says(daemon, "ready"));
  for (const char* name : {"late.yaml", "late-endpoints.yaml"})
    fs::copy_file(fs::path(elsewhere.path()) / name, work.path() / "lower" / name);
  INFO(daemon.err());
  CHECK(comes(bare, "10.96.0.12/32"));
}

TEST_CASE("A look that finds nothing new writes nothing and says nothing") {
  KUBENATD_NEEDS_NAMESPACES();
  if (!enter_mount_namespace()) return;
  const GoodNode node;
  const auto& [bare, manifests, agent] = node;
  manifests.write("bad.yaml", "kind: [\n");
  auto daemon = agent.start();
  REQUIRE(comes(bare, "10.96.0.10/32"));
  REQUIRE(says(daemon, "ready"));
  const unsigned generation = nf_tables_generation(bare.node);
  const std::string said = daemon.err();
  // Each mount asks for a look, a second apart.
  const TempFolder elsewhere;
  for (int i = 0; i < 3; ++i) {
    Mount other("none", elsewhere.path(), "tmpfs", "size=1m");
    REQUIRE(other);
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  }
  CHECK(daemon.err() == said);
  CHECK(nf_tables_generation(bare.node) == generation);
}

TEST_CASE("SIGHUP reads all files again, says what changed and forgets nothing that a broken file gave") {
  KUBENATD_NEEDS_NAMESPACES();
  const GoodNode node;
  const auto& [bare, manifests, agent] = node;
  auto daemon = agent.start();
  REQUIRE(comes(bare, "10.96.0.10/32"));
  manifests.write("good.yaml", "kind: [\n");
  REQUIRE(says(daemon, "stay"));
  const unsigned generation = nf_tables_generation(bare.node);
  for (std::size_t times = 1; times <= 2; ++times) {
    daemon.signal(SIGHUP);
    CHECK(eventually([&] { return count(daemon.err(), "were read again") == times; }, kPatience));
    CHECK(eventually([&] { return count(daemon.err(), "endpoint_slices=") == times + 1; }, kPatience));
  }
  CHECK(count(daemon.err(), "changed_objects=0") == 2);
  CHECK(has_rule(bare.node, "10.96.0.10/32"));
  CHECK(nf_tables_generation(bare.node) == generation);
  manifests.put(kLate, ready({kPodB}));
  INFO(daemon.err());
  CHECK(comes(bare, "10.96.0.12/32"));
}

TEST_CASE("A configuration that changes by another name is noticed") {
  KUBENATD_NEEDS_NAMESPACES();
  const GoodNode node;
  const auto& [bare, manifests, agent] = node;
  const TempFolder elsewhere;
  const fs::path other = elsewhere.path() / "other";
  fs::create_hard_link(agent.command("run").at(4), other);
  auto daemon = agent.start();
  REQUIRE(says(daemon, "endpoint_slices="));
  std::ofstream(other, std::ios::app) << "# more\n";
  CHECK(says(daemon, "starting again"));
  CHECK(eventually([&] { return count(daemon.err(), "endpoint_slices=") == 2; }, kPatience));
  CHECK(has_rule(bare.node, "10.96.0.10"));
}

TEST_CASE("A folder that is missing at the start is waited for, and one that goes may come back") {
  KUBENATD_NEEDS_NAMESPACES();
  GoodNode node;
  auto& [bare, manifests, agent] = node;
  const TempFolder place;
  const fs::path late = place.path() / "up/late";
  agent.extra_arguments = {"--manifests", late.string()};
  must_run_in(bare.node, {"iptables", "-t", "nat", "-N", "KUBE-SERVICES"});
  auto daemon = agent.start();
  CHECK(says(daemon, "the folder is not there: nothing is written"));
  // What an earlier run has written stays: a mount that is late is no reason to take Services away.
  CHECK_FALSE(has_rule(bare.node, "10.96.0.10/32"));
  CHECK(saved_rules(bare.node).find(":KUBE-SERVICES") != std::string::npos);
  const Manifests other;
  other.put(kLate, ready({kPodB}));
  for (int i = 0; i < 2; ++i) {
    fs::create_directories(late);
    fs::copy(other.path(), late, fs::copy_options::recursive);
    CHECK(comes(bare, "10.96.0.12/32"));
    CHECK(comes(bare, "10.96.0.10/32"));
    fs::remove_all(place.path() / "up");
    CHECK(goes(bare, "10.96.0.12/32"));
  }
  // What a run accepts a reload accepts.
  daemon.signal(SIGHUP);
  CHECK(says(daemon, "were read again"));
  CHECK(daemon.running());
  CHECK(has_rule(bare.node, "10.96.0.10/32"));
}

TEST_CASE("A file system that does not answer holds up neither healing nor the end") {
  KUBENATD_NEEDS_NAMESPACES();
  if (!enter_mount_namespace()) return;
  const GoodNode node;
  const auto& [bare, manifests, agent] = node;
  auto daemon = agent.start();
  REQUIRE(comes(bare, "10.96.0.10/32"));
  REQUIRE(says(daemon, "ready"));
  // A file system in user space that nobody serves: whoever looks at it waits.
  const Descriptor fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (fuse.get() < 0) {
    std::printf("SKIPPED: no rights: /dev/fuse: %s\n", std::strerror(errno));
    return;
  }
  Mount hung("none", manifests.path(), "fuse", fmt::format("fd={},rootmode=40000,user_id=0,group_id=0", fuse.get()));
  if (!hung) {
    std::printf("SKIPPED: no rights: a FUSE mount: %s\n", std::strerror(hung.error()));
    return;
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));  // the mount makes it look
  must_run_in(bare.node, in_nftables_mode()
                             ? std::vector<std::string>{"nft", "flush", "chain", "ip", "kube-proxy", "services"}
                             : std::vector<std::string>{"iptables", "-t", "nat", "-F", "KUBE-SERVICES"});
  if (!in_nftables_mode()) CHECK(comes(bare, "-A KUBE-SERVICES -d 10.96.0.10/32"));
  daemon.signal(SIGHUP);
  CHECK(eventually([&] { return count(daemon.err(), "endpoint_slices=") == 2; }, kPatience));
  CHECK(has_rule(bare.node, "10.96.0.10"));
  INFO(daemon.err());
  daemon.signal(SIGTERM);
  const auto ended = daemon.wait(kPatience);
  REQUIRE(ended);
  CHECK(ended->ok());
}

TEST_CASE("Without an inotify instance run looks from time to time and says so once") {
  KUBENATD_NEEDS_NAMESPACES();
  const GoodNode node;
  const auto& [bare, manifests, agent] = node;
  if (!may_limit("max_inotify_instances")) return;
  const auto invoke = [&](const std::string& verb, const std::vector<std::string>& more = {}) {
    auto arguments = limited("max_inotify_instances", 0);
    arguments.emplace_back(program());
    for (const std::string& argument : agent.command(verb)) arguments.push_back(argument);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  for (const auto& [verb, more] :
       {std::pair<std::string, std::vector<std::string>>{"render", {}}, {"diff", {}}, {"run", {"--once"}}}) {
    const auto once = run(invoke(verb, more));
    INFO(verb << ": " << once.describe());
    CHECK(once.err.find("inotify") == std::string::npos);
    CHECK(once.status <= 1);
    CHECK((verb == "diff" || once.ok()));
  }

  Child daemon(invoke("run"));
  REQUIRE(says(daemon, "endpoint_slices="));
  const auto rules = [&] {
    return run({"nsenter", "-t", std::to_string(daemon.pid()), "-U", "-n", "--preserve-credentials",
                in_nftables_mode() ? "nft" : "iptables-save", in_nftables_mode() ? "list ruleset" : "-c"})
        .out;
  };
  INFO(daemon.err());
  CHECK(rules().find("10.96.0.10") != std::string::npos);
  CHECK(says(daemon, "fs.inotify.max_user_instances"));
  manifests.put(kLate, ready({kPodB}));
  CHECK(eventually([&] { return rules().find("10.96.0.12") != std::string::npos; }, kPatience));
  manifests.remove(kLate);
  CHECK(eventually([&] { return rules().find("10.96.0.12") == std::string::npos; }, kPatience));
  CHECK(count(daemon.err(), "fs.inotify") == 1);
}

TEST_CASE("When watches run out run looks from time to time and says so once") {
  KUBENATD_NEEDS_NAMESPACES();
  if (!may_limit("max_inotify_watches")) return;
  const GoodNode node;
  const auto& [bare, manifests, agent] = node;
  for (int i = 0; i < 20; ++i) manifests.write(fmt::format("sub{}/good-{}.yaml", i, i), "");
  auto command = limited("max_inotify_watches", 8);
  command.emplace_back(program());
  for (const std::string& argument : agent.command("run")) command.push_back(argument);
  Child daemon(command);
  REQUIRE(says(daemon, "endpoint_slices="));
  INFO(daemon.err());
  CHECK(says(daemon, "fs.inotify.max_user_watches"));
  manifests.write("sub19/late.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: late}\nspec: 7\n");
  CHECK(says(daemon, "default/late"));
  CHECK(count(daemon.err(), "fs.inotify") == 1);
}

}  // namespace
}  // namespace kubenatd::test
