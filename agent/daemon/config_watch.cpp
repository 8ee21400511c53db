#include "agent/daemon/config_watch.h"

#include <utility>

#include "agent/base/file.h"

namespace kubenatd::agent::daemon {
namespace {

/// What FolderWatch is to name in its answer.
constexpr const char* kOwner = "configuration";
constexpr std::size_t kLongestFile = std::size_t{4} << 20;

std::string content_of(const std::string& file) {
  auto text = base::read_file(file, kLongestFile, "read");
  return text ? std::move(*text) : std::string();
}

}  // namespace

rules::Result<ConfigWatch> ConfigWatch::open(const std::vector<std::filesystem::path>& files) {
  auto watch = sources::FolderWatch::open();
  if (!watch) return std::unexpected(watch.error());
  ConfigWatch config(std::move(*watch));
  for (const std::filesystem::path& file : files) config.contents_.emplace(std::filesystem::absolute(file), "");
  config.follow();
  for (auto& [file, content] : config.contents_) content = content_of(file);
  return config;
}

void ConfigWatch::follow() {
  watch_.forget(kOwner, false);
  problems_.clear();
  for (const auto& [file, content] : contents_) watch_.watch_way(file, kOwner, true, problems_);
}

bool ConfigWatch::changed() {
  const sources::FolderWatch::Changes changes = watch_.take();
  if (changes.files.empty() && changes.folders.empty() && !changes.all) return false;
  follow();
  bool changed = false;
  for (auto& [file, content] : contents_) {
    std::string now = content_of(file);
    changed = changed || now != content;
    content = std::move(now);
  }
  return changed;
}

}  // namespace kubenatd::agent::daemon
