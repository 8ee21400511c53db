#include "agent/cli/object_source.h"

#include <map>
#include <utility>

#include "agent/api/api_source.h"
#include "agent/cli/log.h"
#include "agent/sources/manifest_source.h"

namespace kubenatd::agent {
namespace {

class Manifests final : public ObjectSource {
 public:
  explicit Manifests(ManifestSource source) : source_(std::move(source)), first_(source_.load()) {}

  [[nodiscard]] int fd() const override { return source_.fd(); }
  [[nodiscard]] bool knows_node() const override { return false; }

  [[nodiscard]] Update take() override {
    SourceUpdate update = loaded_ ? source_.poll() : std::move(first_);
    loaded_ = true;
    for (const std::string& line : update.passed_over) log_info("passed over", {{"what", line}});
    for (const std::string& line : update.remarks) log_warning("taken in part", {{"what", line}});
    for (const std::string& line : update.problems) log_warning("left out", {{"what", line}});
    return {.events = std::move(update.events), .problems = update.problems.size(), .synced = true, .states = {}};
  }

 private:
  ManifestSource source_;
  SourceUpdate first_;
  bool loaded_ = false;
};

class ApiServer final : public ObjectSource {
 public:
  explicit ApiServer(std::unique_ptr<ApiSource> source) : source_(std::move(source)) {}

  [[nodiscard]] int fd() const override { return source_->fd(); }
  [[nodiscard]] bool knows_node() const override { return true; }

  [[nodiscard]] Update take() override {
    ApiUpdate update = source_->take();
    for (const std::string& line : update.remarks) log_debug("API server", {{"remark", line}});
    for (const std::string& line : update.problems) log_warning("API server", {{"problem", line}});
    for (const WatchState& state : update.states) log_change(state);
    return {.events = std::move(update.events),
            .problems = update.problems.size(),
            .synced = update.synced,
            .states = std::move(update.states)};
  }

 private:
  /// Only coming and going is worth a line: a watch is renewed every few minutes.
  void log_change(const WatchState& state) {
    bool& up = up_[state.resource];
    const bool now = state.synced && state.failure.empty();
    if (std::exchange(up, now) != now && now)
      log_info("watching the API server", {{"resource", state.resource}, {"objects", state.objects}});
  }

  std::unique_ptr<ApiSource> source_;
  std::map<std::string, bool> up_;
};

}  // namespace

rules::Result<std::unique_ptr<ObjectSource>> open_manifests(const std::vector<std::filesystem::path>& folders) {
  auto source = ManifestSource::open(folders);
  if (!source) return std::unexpected(source.error());
  return std::make_unique<Manifests>(std::move(*source));
}

rules::Result<std::unique_ptr<ObjectSource>> open_api(const ClusterAccess& access, const std::string& node_name,
                                                      WatchPods pods) {
  ApiOptions options{.access = access,
                     .node_name = node_name,
                     .pods = pods != WatchPods::kNo,
                     .pods_optional = pods == WatchPods::kOptional,
                     .timing = {}};
  auto source = ApiSource::open(options);
  if (!source) return std::unexpected(source.error());
  return std::make_unique<ApiServer>(std::move(*source));
}

}  // namespace kubenatd::agent
