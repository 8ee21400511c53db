#pragma once

#include <fmt/format.h>
#include <poll.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/sources/manifest_source.h"

namespace kubenatd::agent::sources::test {

namespace fs = std::filesystem;
using objects::Object;
using objects::ObjectEvent;
using objects::PassedOver;
using objects::Service;

/// A folder of its own, gone with the test.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "kubenatd-manifests-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline void write(const fs::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

inline std::string service(const std::string& name, int port = 80) {
  return fmt::format(
      "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec: {{clusterIP: 10.96.0.1, ports: [{{port: "
      "{}}}]}}\n",
      name, port);
}

/// A source, and the objects as its events leave them.
class Follower {
 public:
  explicit Follower(const std::vector<fs::path>& folders) {
    auto opened = ManifestSource::open(folders, ManifestSource::Follow::kYes);
    INFO((opened ? "" : opened.error().to_string()));
    REQUIRE(opened);
    source_.emplace(std::move(*opened));
    take(source_->load());
  }

  std::map<std::string, Object> objects;  ///< by "Kind name"
  std::vector<std::string> problems, remarks, passed_over;
  std::vector<PassedOver> left_out;
  std::size_t events = 0;

  /// Reads on until something was noticed and nothing more is queued. inotify queues an event before the call that
  /// caused it returns, so there is nothing to wait for.
  void follow() {
    problems.clear();
    remarks.clear();
    events = 0;
    pollfd ready{source_->fd(), POLLIN, 0};
    while (::poll(&ready, 1, 0) == 1) take(source_->poll());
  }

  /// One look, until nothing is half written any more. No inotify is asked.
  void look(ManifestSource::Depth depth = ManifestSource::Depth::kSignatures) {
    problems.clear();
    remarks.clear();
    events = 0;
    take(source_->look(depth));
    while (source_->unsettled()) take(source_->settle());
  }
  /// A look, and nothing else: what it brings.
  [[nodiscard]] SourceUpdate just_look() { return source_->look(ManifestSource::Depth::kSignatures); }
  [[nodiscard]] ManifestSource& source() { return *source_; }
  std::optional<std::size_t> read_again;  ///< by the last look at contents
  std::vector<std::string> notes;

  /// The port of a Service; 0 when it is not there.
  int port_of(const std::string& name) const {
    const auto found = objects.find("Service default/" + name);
    return found == objects.end() ? 0 : std::get<Service>(found->second).ports.at(0).port;
  }

 private:
  void take(SourceUpdate update) {
    for (ObjectEvent& event : update.events) {
      ++events;
      const std::string id = fmt::format("{} {}", name_of(event.kind), event.key.to_string());
      if (event.object) {
        // An event is a change.
        CHECK((!objects.contains(id) || objects.at(id) != *event.object));
        objects.insert_or_assign(id, *event.object);
      } else {
        CHECK(objects.erase(id) == 1);
      }
    }
    if (update.read_again) read_again = update.read_again;
    std::move(update.notes.begin(), update.notes.end(), std::back_inserter(notes));
    std::move(update.remarks.begin(), update.remarks.end(), std::back_inserter(remarks));
    std::move(update.problems.begin(), update.problems.end(), std::back_inserter(problems));
    std::move(update.passed_over.begin(), update.passed_over.end(), std::back_inserter(passed_over));
    std::move(update.left_out.begin(), update.left_out.end(), std::back_inserter(left_out));
  }

  std::optional<ManifestSource> source_;
};

}  // namespace kubenatd::agent::sources::test
