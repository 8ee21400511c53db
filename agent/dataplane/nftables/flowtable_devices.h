#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/environment.h"
#include "agent/dataplane/drift.h"
#include "agent/dataplane/nf_session.h"

namespace kubenatd::agent::dataplane::nftables {

/// Keeps the devices of one family's flowtable equal to those that are wanted.
///
/// Purpose: devices come and go at any time, and one that has just gone makes the kernel refuse the whole transaction:
/// so they have their own, and what the kernel refuses of it is tried one by one. The kernel takes a device that goes
/// out by itself. Threading: one thread; the caller gives the time. Failure: kept as a text, and tried again with
/// growing delays; devices that it does not concern are in force. Cost: a question after a change of devices, of the
/// table's structure, and with an audit; a message for each device that is to change.
class FlowtableDevices {
 public:
  explicit FlowtableDevices(rules::Family family) : family_(family) {}

  void want(const std::vector<config::Device>& devices);
  [[nodiscard]] std::set<std::string> wanted() const;
  /// The kernel may have others than it had.
  void look_again() { look_ = true; }
  /// Another program has changed them, or the flowtable.
  void suspect() { look_ = suspected_ = true; }

  /// When there is something to do: the past for at once; none: nothing.
  [[nodiscard]] std::optional<Time> due() const;
  /// `may_heal` is asked before what another program has changed is put right. True: that was done.
  [[nodiscard]] rules::Result<bool> sync(NfSession& session, std::string_view flowtable, Time now,
                                         const std::function<bool()>& may_heal);

  [[nodiscard]] const std::set<std::string>& in_force() const { return live_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  struct Changes {
    std::vector<std::string> added, removed;
  };
  [[nodiscard]] bool commit(NfSession& session, std::string_view flowtable, const Changes& changes);
  void commit_singly(NfSession& session, std::string_view flowtable, const Changes& changes);

  rules::Family family_;
  std::vector<config::Device> wanted_;
  std::set<std::string> live_;
  bool look_ = true;
  bool suspected_ = false;
  std::string problem_;
  std::optional<Time> again_;
  Clock::duration delay_{};
};

}  // namespace kubenatd::agent::dataplane::nftables
