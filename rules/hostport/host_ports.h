#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rules/digest.h"
#include "rules/hostport/known_pods.h"
#include "rules/hostport/mapping.h"
#include "rules/rule.h"

namespace kubenatd::rules::hostport {

/// A host port that is withheld because somebody else serves it, or that is not withheld any more.
struct Remark {
  std::string pod;  ///< PodPorts::id
  Mapping mapping;
  std::optional<std::string> owner;  ///< who serves it; none: it is not withheld any more
  std::string fault = {};            ///< why the owner serves nobody; empty: it may serve
};
/// One line: "Pod demo/web: hostPort 8080/tcp is withheld: chain CNI-DN-X serves it already".
[[nodiscard]] std::string to_text(const Remark& remark);
/// One line about a dead entry whose rules were removed, so that the hostPort is free.
[[nodiscard]] std::string to_text_of_removed(const Claim& claim);

/// The desired host ports of one family: which of them are in force, and what changed.
///
/// Purpose: takes what the pods want and what others serve already; a port that others serve is withheld until they let
/// go of it. Threading: one thread. Failure: none. Cost: a change looks at every pod with host ports, on a node about
/// a hundred at most.
class HostPorts {
 public:
  /// All pods with host ports, in place of those before. They do not overlap.
  void set_pods(std::vector<PodPorts> pods);
  /// All ports that others serve, in place of those before.
  void set_foreign(std::vector<Claim> claims);
  /// What entries of others are judged by.
  void set_known_pods(KnownPods pods);
  [[nodiscard]] const KnownPods& known_pods() const { return known_pods_; }
  /// Those that take a port from a pod here and lead to nobody.
  [[nodiscard]] std::vector<Claim> dead_among(const std::vector<Claim>& claims) const;
  /// Takes a pod out because the kernel refused its rules; it comes back when it changes, or by readmit().
  void refuse(const std::string& id);
  void readmit(const std::string& id);

  /// Some pod wants a port, in force or not.
  [[nodiscard]] bool any_wanted() const { return !pods_.empty(); }
  /// A pod in force, with the mappings that are.
  struct Chain {
    PodPorts pod;
    Digest digest;  ///< of its chain
  };
  [[nodiscard]] const std::map<ChainName, Chain>& chains() const { return chains_; }
  [[nodiscard]] bool empty() const { return chains_.empty(); }
  /// The pods in force.
  [[nodiscard]] std::vector<PodPorts> in_force() const;
  /// The pod (PodPorts::id) in force whose chain of nat, or whose rule in CNI-HOSTPORT-DNAT, this is.
  [[nodiscard]] std::optional<std::string> owner_of(const ChainName& chain, const Digest& rule) const;
  /// What the pod wants, in force or not; nothing when it wants no ports.
  [[nodiscard]] const PodPorts* wanted_by(const std::string& id) const;
  /// Every rule in CNI-HOSTPORT-DNAT, in order.
  [[nodiscard]] std::vector<Rule> entries() const;
  /// Grows with every change of what is in force.
  [[nodiscard]] std::uint64_t version() const { return version_; }

  struct Changes {
    bool any = false;
    std::set<ChainName> changed;
    std::set<ChainName> gone;
  };
  [[nodiscard]] bool has_changes() const { return changes_.any; }
  [[nodiscard]] Changes take_changes() { return std::exchange(changes_, {}); }
  /// Each port that was withheld, or came into force after that, since the last call.
  [[nodiscard]] std::vector<Remark> take_remarks() { return std::exchange(remarks_, {}); }
  /// All that are withheld now.
  [[nodiscard]] std::vector<Remark> withheld() const;

 private:
  void update();
  [[nodiscard]] const Claim* claimed_by(const Mapping& mapping) const;

  std::vector<PodPorts> pods_;
  std::vector<Claim> foreign_;
  KnownPods known_pods_;
  std::map<std::string, PodPorts> refused_;  ///< as they were refused
  std::map<ChainName, Chain> chains_;
  struct Withheld {
    std::string pod;
    Mapping mapping;
    std::string owner;
    std::string fault;
  };
  std::map<std::string, Withheld> withheld_;  ///< by pod and port
  Changes changes_;
  std::vector<Remark> remarks_;
  std::uint64_t version_ = 0;
};

}  // namespace kubenatd::rules::hostport
