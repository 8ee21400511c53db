#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "rules/service_port.h"

namespace kubenatd::rules {

/// Service port name string and protocol: what tells the service ports of one family apart.
using ServicePortKey = std::pair<std::string, Protocol>;

[[nodiscard]] inline ServicePortKey key_of(const ServicePortView& view) {
  return {view.name, view.protocol};
}

/// The service ports of one family in either mode: what each looks like, whether the kernel refused it, and which have
/// changed since take_changed(). `State` is what the mode's compiler keeps for each of them.
///
/// Threading: one thread. Failure: none. Cost: a look-up in a map for each call; entries do not move.
template <class State>
class ServicePorts {
 public:
  struct Port {
    ServicePortView view;
    State state{};
    bool refused = false;  ///< the kernel did not take it: nothing of it is wanted
  };
  using Map = std::map<ServicePortKey, Port>;
  using Entry = typename Map::value_type;

  struct Place {
    Entry* entry = nullptr;
    bool is_new = false;
  };
  /// Where `view` belongs, made when there was no such service port; the caller puts the view in. No entry when the
  /// present view is equal and not refused.
  [[nodiscard]] Place place_for(const ServicePortView& view) {
    const auto [found, is_new] = ports_.try_emplace(key_of(view));
    if (!is_new && !found->second.refused && found->second.view == view) return {};
    return {&*found, is_new};
  }
  [[nodiscard]] Entry* find(const ServicePortKey& key) {
    const auto found = ports_.find(key);
    return found == ports_.end() ? nullptr : &*found;
  }
  [[nodiscard]] const Entry* find(const ServicePortKey& key) const {
    const auto found = ports_.find(key);
    return found == ports_.end() ? nullptr : &*found;
  }
  void erase(const ServicePortKey& key) { ports_.erase(key); }

  void mark_changed(const ServicePortKey& key) { changed_.insert(key); }
  void mark_all_changed() {
    for (const Entry& entry : ports_) changed_.insert(entry.first);
  }
  [[nodiscard]] bool has_changed() const { return !changed_.empty(); }
  [[nodiscard]] const std::set<ServicePortKey>& changed() const { return changed_; }
  [[nodiscard]] std::set<ServicePortKey> take_changed() { return std::exchange(changed_, {}); }

  [[nodiscard]] std::size_t size() const { return ports_.size(); }
  [[nodiscard]] typename Map::iterator begin() { return ports_.begin(); }
  [[nodiscard]] typename Map::iterator end() { return ports_.end(); }
  [[nodiscard]] typename Map::const_iterator begin() const { return ports_.begin(); }
  [[nodiscard]] typename Map::const_iterator end() const { return ports_.end(); }

 private:
  Map ports_;
  std::set<ServicePortKey> changed_;
};

}  // namespace kubenatd::rules
