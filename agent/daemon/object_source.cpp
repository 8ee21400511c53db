#include "agent/daemon/object_source.h"

#include <map>
#include <utility>

#include "agent/api/api_source.h"
#include "agent/base/log.h"

namespace kubenatd::agent::daemon {
namespace {

class ApiServer final : public ObjectSource {
 public:
  explicit ApiServer(std::unique_ptr<api::ApiSource> source) : source_(std::move(source)) {}

  [[nodiscard]] int fd() const override { return source_->fd(); }
  [[nodiscard]] bool knows_node() const override { return true; }

  [[nodiscard]] Update take() override {
    api::ApiUpdate update = source_->take();
    for (const std::string& line : update.remarks) base::log_debug("API server", {{"remark", line}});
    for (const std::string& line : update.problems) base::log_warning("API server", {{"problem", line}});
    for (const api::WatchState& state : update.states) log_change(state);
    return {.events = std::move(update.events),
            .problems = update.problems.size(),
            .left_out = std::move(update.left_out),
            .synced = update.synced,
            .states = std::move(update.states),
            .notes = {}};
  }

 private:
  struct Standing {
    bool up = false;
    bool absent = false;
    bool operator==(const Standing&) const = default;
  };

  /// Only coming and going is worth a line: a watch is renewed every few minutes.
  void log_change(const api::WatchState& state) {
    const Standing now{.up = state.synced && state.failure.empty(), .absent = !state.absent.empty()};
    if (std::exchange(standing_[state.resource], now) == now || !now.up) return;
    if (now.absent) {
      base::log_info("going on without what the API server does not give",
                     {{"resource", state.resource}, {"reason", state.absent}});
    } else {
      base::log_info("watching the API server", {{"resource", state.resource}, {"objects", state.objects}});
    }
  }

  std::unique_ptr<api::ApiSource> source_;
  std::map<std::string, Standing> standing_;
};

}  // namespace

rules::Result<std::unique_ptr<ObjectSource>> open_api(const api::ClusterAccess& access, api::Encoding encoding,
                                                      const std::string& node_name, WatchPods pods) {
  api::ApiOptions options{.access = access,
                          .node_name = node_name,
                          .pods = pods != WatchPods::kNo,
                          .all_pods = pods == WatchPods::kAll,
                          .ingresses = pods == WatchPods::kAll,
                          .encoding = encoding,
                          .pods_optional = pods != WatchPods::kNeeded,
                          .timing = {}};
  auto source = api::ApiSource::open(options);
  if (!source) return std::unexpected(source.error());
  return std::make_unique<ApiServer>(std::move(*source));
}

}  // namespace kubenatd::agent::daemon
