#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "test/image/support.h"
#include "test/support/places.h"
#include "test/support/process.h"

/// One archive for several platforms: an OCI index (image-spec 1.0, image-index.md) of an image for each.
namespace kubenatd::test {
namespace {

using nlohmann::json;

/// An unpacked OCI archive.
class Archive {
 public:
  explicit Archive(const std::string& file) {
    const auto unpacked = run({"tar", "-xf", file, "-C", folder_.path()});
    INFO(unpacked.describe());
    REQUIRE(unpacked.ok());
  }
  [[nodiscard]] json index() const { return json::parse(read_file(folder_.path().string() + "/index.json")); }
  [[nodiscard]] std::string path(const json& descriptor) const {
    const std::string digest = descriptor.at("digest");
    return folder_.path().string() + "/blobs/sha256/" + digest.substr(digest.find(':') + 1);
  }
  [[nodiscard]] json blob(const json& descriptor) const { return json::parse(read_file(path(descriptor))); }

 private:
  TempFolder folder_;
};

/// What readelf tells of a file, or nothing when it is no ELF file.
struct Elf {
  std::string machine;
  std::set<std::string> needed;

  explicit Elf(const std::string& file) {
    for (const std::string& line : lines_of(run({"readelf", "--wide", "--file-header", "--dynamic", file}).out)) {
      if (const auto at = line.find("Machine:"); at != std::string::npos) {
        machine = line.substr(line.find_first_not_of(' ', at + 8));
      }
      if (line.find("(NEEDED)") != std::string::npos) {
        const auto begin = line.find('[') + 1;
        needed.insert(line.substr(begin, line.find(']') - begin));
      }
    }
  }
};

/// Every program and library is for the machine and finds what it needs.
void check_files(const std::string& root, const std::string& machine) {
  std::set<std::string> names, needed;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file() || entry.is_symlink()) continue;
    const Elf elf(entry.path());
    if (elf.machine.empty()) continue;
    INFO(entry.path());
    CHECK(elf.machine == machine);
    names.insert(entry.path().filename());
    needed.insert(elf.needed.begin(), elf.needed.end());
  }
  CHECK(names.contains("kubenatd"));
  CHECK(needed.size() > 10);
  for (const std::string& name : needed) {
    INFO(name);
    CHECK(names.contains(name));
  }
}

json make(const std::string& folder, const std::string& platforms, std::unique_ptr<Archive>& archive) {
  const std::string file = folder + "/image.tar";
  const auto made =
      run({kImageScript, "--platform", platforms, "--output", file, "--name", "localhost/kubenatd:test"}, with_time());
  INFO(made.describe());
  REQUIRE(made.ok());
  archive = std::make_unique<Archive>(file);
  const json index = archive->index();
  REQUIRE(index.at("manifests").size() == 1);
  // containerd and kind take the name from here.
  CHECK(index["manifests"][0].at("annotations").at("org.opencontainers.image.ref.name") == "localhost/kubenatd:test");
  return index["manifests"][0];
}

}  // namespace

TEST_CASE("an image for two platforms is one index of two images with what each needs") {
  if (const auto missing = packages_missing() ? packages_missing() : arm64_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  if (::geteuid() != 0) {
    std::printf("SKIPPED: no rights: buildah needs root here\n");
    return;
  }
  if (!run({"sh", "-c", "command -v buildah"}).ok() || !std::filesystem::exists(project_file("build/kubenatd"))) {
    std::printf("SKIPPED: buildah is not installed, or build/kubenatd not built\n");
    return;
  }
  const TempFolder folder;
  std::unique_ptr<Archive> archive;
  const json top = make(folder.path(), "linux/amd64,linux/arm64", archive);
  CHECK(top.at("mediaType") == "application/vnd.oci.image.index.v1+json");
  const json index = archive->blob(top);
  REQUIRE(index.at("manifests").size() == 2);

  const std::map<std::string, std::string> machines{{"amd64", "Advanced Micro Devices X86-64"}, {"arm64", "AArch64"}};
  std::map<std::string, json> digests;
  for (const json& image : index["manifests"]) {
    const json platform = image.at("platform");
    const std::string architecture = platform.at("architecture");
    INFO(architecture);
    REQUIRE(machines.contains(architecture));
    digests[architecture] = image.at("digest");
    CHECK(platform.at("os") == "linux");
    CHECK(platform.contains("variant") == (architecture == "arm64"));
    if (architecture == "arm64") CHECK(platform["variant"] == "v8");

    const json manifest = archive->blob(image);
    const json config = archive->blob(manifest.at("config"));
    CHECK(config.at("architecture") == architecture);
    CHECK(config.at("os") == "linux");
    CHECK(config.at("config").at("Entrypoint") == json::array({"/usr/sbin/kubenatd"}));
    REQUIRE(manifest.at("layers").size() == 1);
    const std::string root = folder.path().string() + "/" + architecture;
    std::filesystem::create_directory(root);
    const auto unpacked = run({"tar", "-xzf", archive->path(manifest["layers"][0]), "-C", root});
    INFO(unpacked.describe());
    REQUIRE(unpacked.ok());
    check_files(root, machines.at(architecture));
    if (architecture == "arm64" && run({"sh", "-c", "command -v qemu-aarch64-static"}).ok()) {
      const auto version =
          run({"qemu-aarch64-static", "-L", root, root + "/usr/sbin/kubenatd", "version"}, with_time());
      INFO(version.describe());
      CHECK(version.ok());
      CHECK(version.out.find(KUBENATD_VERSION) != std::string::npos);
    }
  }
  CHECK(digests.size() == 2);

  // Alone each is the same image: nothing in it depends on when and with what it was made.
  for (const auto& [architecture, digest] : digests) {
    INFO(architecture);
    CHECK(make(folder.path(), "linux/" + architecture, archive).at("digest") == digest);
  }
}

}  // namespace kubenatd::test
