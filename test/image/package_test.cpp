#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "test/image/support.h"
#include "test/support/places.h"
#include "test/support/process.h"

/// The Debian package that cpack makes in a build folder.
namespace kubenatd::test {
namespace {

std::string make(const std::string& build, const std::string& folder) {
  const auto made = run({"cpack", "--config", build + "/CPackConfig.cmake", "-B", folder}, with_time());
  INFO(made.describe());
  REQUIRE(made.ok());
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".deb") return entry.path();
  }
  FAIL("no package was made");
  return {};
}

std::string field(const std::string& package, const char* name) {
  const auto read = run({"dpkg-deb", "--field", package, name});
  INFO(read.describe());
  REQUIRE(read.ok());
  return read.out.substr(0, read.out.find('\n'));
}

void check_package(const std::string& build, const std::string& architecture) {
  const TempFolder folder;
  const std::string package = make(build, folder.path().string() + "/one");
  CHECK(std::filesystem::path(package).filename() == "kubenatd_" KUBENATD_VERSION "_" + architecture + ".deb");
  CHECK(field(package, "Package") == "kubenatd");
  CHECK(field(package, "Version") == KUBENATD_VERSION);
  CHECK(field(package, "Architecture") == architecture);
  const std::string depends = field(package, "Depends");
  for (const char* name : {"libc6 (>= ", "libbrotli1 (>= ", "libnftnl11 (>= ", "libnl-3-200 (>= ", "libssl3 (>= "}) {
    INFO(depends);
    CHECK(depends.find(name) != std::string::npos);
  }
  // Those of Debian 13 are others, so it brings them.
  for (const char* name : {"libfmt", "libcpprest"}) CHECK(depends.find(name) == std::string::npos);

  const std::string root = folder.path().string() + "/root";
  REQUIRE(run({"dpkg-deb", "--extract", package, root}).ok());
  using std::filesystem::perms;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    INFO(entry.path());
    const bool executable = entry.is_directory() || entry.path() == root + "/usr/sbin/kubenatd";
    CHECK(entry.status().permissions() == static_cast<perms>(executable ? 0755 : 0644));
  }
  const auto links = run({"readelf", "--wide", "--dynamic", root + "/usr/sbin/kubenatd"}).out;
  CHECK(links.find("runpath: [/usr/lib/kubenatd]") != std::string::npos);
  for (const char* brought : {"lib/kubenatd/libfmt.so.9", "lib/kubenatd/libcpprest.so.2.10",
                              "share/doc/kubenatd/copyright.libfmt9", "share/doc/kubenatd/copyright.libcpprest2.10"})
    CHECK(std::filesystem::file_size(root + "/usr/" + brought) > 0);
  const auto machine = run({"readelf", "--wide", "--file-header", root + "/usr/sbin/kubenatd"}).out;
  CHECK((machine.find("AArch64") != std::string::npos) == (architecture == "arm64"));
  CHECK(std::filesystem::exists(root + "/usr/share/doc/kubenatd/copyright"));
  for (const auto& [packed, source] :
       {std::pair{"/usr/lib/systemd/system/kubenatd.service", "manifests/systemd/kubenatd.service"},
        std::pair{"/usr/share/bash-completion/completions/kubenatd", "scripts/package/pages/kubenatd.bash"},
        std::pair{"/usr/share/zsh/vendor-completions/_kubenatd", "scripts/package/pages/_kubenatd"},
        std::pair{"/usr/share/fish/vendor_completions.d/kubenatd.fish", "scripts/package/pages/kubenatd.fish"},
        std::pair{"/etc/kubenatd/config.conf", "manifests/systemd/config.conf"}}) {
    INFO(packed);
    const bool same = read_file(root + packed) == read_file(project_file(source));
    CHECK(same);
  }
  const std::string control = folder.path().string() + "/control";
  REQUIRE(run({"dpkg-deb", "--control", package, control}).ok());
  CHECK(read_file(control + "/conffiles") == "/etc/kubenatd/config.conf\n");
  for (const char* script : {"postinst", "prerm", "postrm"}) {
    INFO(script);
    CHECK(run({"sh", "-n", control + "/" + script}).ok());
    CHECK(std::filesystem::status(control + "/" + script).permissions() == static_cast<perms>(0755));
  }
  const auto changelog = run({"gzip", "--decompress", "--stdout", root + "/usr/share/doc/kubenatd/changelog.gz"});
  CHECK(changelog.out.starts_with("kubenatd (" KUBENATD_VERSION ") "));

  const auto page = run({"gzip", "--decompress", "--stdout", root + "/usr/share/man/man8/kubenatd-run.8.gz"});
  CHECK(page.out == read_file(project_file("scripts/package/pages/kubenatd-run.8")));

  const bool same = read_file(make(build, folder.path().string() + "/two")) == read_file(package);
  CHECK(same);
}

}  // namespace

TEST_CASE("the Debian package names what the program needs and is the same each time") {
  const std::string build = std::filesystem::path(program()).parent_path();
  if (const auto missing = packages_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  const auto here = run({"dpkg", "--print-architecture"});
  REQUIRE(here.ok());
  check_package(build, lines_of(here.out).at(0));
}

TEST_CASE("the Debian package for arm64 is made of a cross build") {
  if (const auto missing = packages_missing() ? packages_missing() : arm64_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  check_package(project_file("build/arm64"), "arm64");
}

}  // namespace kubenatd::test
