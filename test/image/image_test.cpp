#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>

#include "test/image/support.h"
#include "test/support/cluster.h"
#include "test/support/lab.h"
#include "test/support/places.h"

/// The container image: what scripts/image.sh makes, and whether it runs with what the DaemonSet gives it.
namespace kubenatd::test {
namespace {

constexpr const char* kProgram = "/usr/sbin/kubenatd";

/// The image's files in a folder.
struct Image {
  TempFolder folder;
  std::string root = folder.path() / "root";

  Image() {
    const auto made = run({kImageScript, "--binary", program(), "--rootfs", root}, with_time());
    INFO(made.describe());
    REQUIRE(made.ok());
  }
};

/// The folder that the container has as /var/lib/kube-proxy: the DaemonSet's ConfigMap, and manifests.
std::string configuration() {
  return "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 10.244.0.0/16\n"
         "conntrack: {maxPerCore: 0, tcpBeLiberal: true}\n";
}

std::vector<std::string> inside(const Image& image, const std::string& folder, std::vector<std::string> arguments) {
  std::vector<std::string> all{KUBENATD_ENTER_IMAGE, image.root, folder, kProgram};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

std::string status_field(pid_t pid, const std::string& name) {
  for (const std::string& line : lines_of(read_file("/proc/" + std::to_string(pid) + "/status"))) {
    if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
  }
  return "";
}

/// Whether the words are those of EPERM or EACCES.
bool tells_refusal(const std::string& words) {
  return words.find("not permitted") != std::string::npos || words.find("Permission denied") != std::string::npos;
}

bool tells(const ProcessResult& result, const char* text) {
  return result.out.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("the image holds the program and its libraries, and no shell") {
  if (const auto missing = packages_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  const Image image;
  std::size_t programs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(image.root)) {
    if (!entry.is_regular_file() || entry.is_symlink()) continue;
    INFO(entry.path());
    const auto permissions = entry.status().permissions();
    using std::filesystem::perms;
    CHECK((permissions & (perms::set_uid | perms::set_gid | perms::group_write | perms::others_write)) == perms::none);
    const std::string name = entry.path().filename();
    if ((permissions & perms::owner_exec) != perms::none && name.find(".so") == std::string::npos) ++programs;
  }
  CHECK(programs == 1);
  CHECK(std::filesystem::exists(image.root + kProgram));
  CHECK(std::filesystem::file_size(image.root + "/etc/ssl/certs/ca-certificates.crt") > 0);
}

TEST_CASE("the image's program syncs with the DaemonSet's capabilities alone") {
  KUBENATD_NEEDS_NAMESPACES();
  if (const auto missing = packages_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  const Image image;
  const BareNode lab;
  const Manifests manifests;
  const ServiceSpec web{.name = "web", .cluster_ips = {"10.96.0.10"}, .ports = {PortSpec{}}};
  manifests.put(web, ready({kPodA, kPodC}));
  manifests.write("config.conf", configuration());
  set_sysctl(lab.node, "net/netfilter/nf_conntrack_tcp_be_liberal", "0");

  ProcessOptions options;
  options.namespace_fd = lab.node.fd();
  const auto version = run(inside(image, manifests.path(), {"version"}), options);
  INFO(version.describe());
  if (version.status == 125) {
    std::printf("SKIPPED: %s%s", tells_refusal(version.err) ? "no rights: " : "", version.err.c_str());
    return;
  }
  REQUIRE(version.ok());
  CHECK(tells(version, KUBENATD_VERSION));

  Child agent(inside(image, manifests.path(),
                     {"run", "--manifests=/var/lib/kube-proxy", "--config=/var/lib/kube-proxy/config.conf",
                      "--hostname-override=node-1"}),
              options);
  const bool synced = eventually([&] { return has_rule(lab.node, "-d 10.96.0.10/32"); });
  INFO(agent.out() + agent.err());
  REQUIRE(synced);
  CHECK(agent.err().find("level=error") == std::string::npos);
  // CAP_NET_ADMIN is the 12th.
  CHECK(status_field(agent.pid(), "CapEff") == "0000000000001000");
  CHECK(status_field(agent.pid(), "CapBnd") == "0000000000001000");
  CHECK(status_field(agent.pid(), "NoNewPrivs") == "1");
  CHECK(get_sysctl(lab.node, "net/netfilter/nf_conntrack_tcp_be_liberal") == "1");
  // It goes on: a change of the folder arrives, and what is deleted comes back.
  manifests.put({.name = "db", .cluster_ips = {"10.96.0.11"}, .ports = {PortSpec{}}}, ready({kPodA}));
  CHECK(eventually([&] { return has_rule(lab.node, "-d 10.96.0.11/32"); }));
  must_run_in(lab.node, {"iptables", "-t", "nat", "-F", "KUBE-SERVICES"});
  CHECK(eventually([&] { return has_rule(lab.node, "-d 10.96.0.10/32"); }));
  agent.signal(SIGTERM);
  const auto ended = agent.wait(std::chrono::seconds(10));
  REQUIRE(ended);
  CHECK(ended->ok());
}

TEST_CASE("the image becomes an archive with its name and entry point") {
  if (const auto missing = packages_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  if (::geteuid() != 0) {
    std::printf("SKIPPED: no rights: buildah needs root here\n");
    return;
  }
  if (!run({"sh", "-c", "command -v buildah"}).ok()) {
    std::printf("SKIPPED: buildah is not installed\n");
    return;
  }
  const TempFolder folder;
  const std::string archive = folder.path() / "image.tar";
  const auto made = run({kImageScript, "--binary", program(), "--output", archive}, with_time());
  INFO(made.describe());
  REQUIRE(made.ok());
  CHECK(tells(made, archive.c_str()));
  const auto index = run({"tar", "-xOf", archive, "index.json"});
  REQUIRE(index.ok());
  CHECK(tells(index, "localhost/kubenatd:" KUBENATD_VERSION));
  const auto blobs =
      run({"sh", "-c", "tar -xOf \"$0\" --wildcards 'blobs/*' | grep -a -o '\"Entrypoint\":[^]]*'", archive});
  INFO(blobs.describe());
  CHECK(tells(blobs, R"("Entrypoint":["/usr/sbin/kubenatd")"));
}

TEST_CASE("wrong usage of the image script is told and makes nothing") {
  const TempFolder folder;
  CHECK(run({kImageScript, "--what"}).status == 2);
  CHECK(run({kImageScript, "--output"}).status == 2);
  CHECK(run({kImageScript, "--platform", "linux/riscv64"}).status == 2);
  CHECK(run({kImageScript, "--platform", "linux/amd64,"}).status == 2);
  CHECK(run({kImageScript, "--platform", "linux/amd64,linux/arm64", "--binary", program()}).status == 2);
  const auto existing = run({kImageScript, "--binary", program(), "--rootfs", folder.path()});
  CHECK(existing.status == 1);
  CHECK(existing.err.find("exists") != std::string::npos);
  const auto absent = run({kImageScript, "--binary", folder.path() / "none", "--rootfs", folder.path() / "root"});
  CHECK(absent.status == 1);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "root"));
}

}  // namespace kubenatd::test
