#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "test/support/process.h"

/// What a test tells kubenatd, and kubenatd itself.
namespace kubenatd::test {

struct PortSpec {
  std::string name = "http";
  std::string protocol = "TCP";
  int port = 80;
  int target = 8080;  ///< port of the endpoints
  int node_port = 0;
};

struct IngressSpec {
  std::string ip = {};
  std::string mode = {};  ///< empty: not written
};

/// A Service in namespace demo.
struct ServiceSpec {
  std::string name = {};
  std::vector<std::string> cluster_ips = {};
  std::vector<PortSpec> ports = {PortSpec{}};
  std::string type = "ClusterIP";
  std::string external_policy = {};
  std::string internal_policy = {};
  std::vector<std::string> external_ips = {};
  std::vector<IngressSpec> ingress = {};
  std::vector<std::string> source_ranges = {};
  int health_check_node_port = 0;
  std::optional<int> affinity_seconds = {};
};

struct EndpointSpec {
  std::string address = {};
  bool ready = true;
  bool terminating = false;  ///< then it is serving and not ready, whatever `ready` says
};

/// A folder of manifests. It starts with the Nodes node-1 and node-2 of the Lab. Endpoints are on node-2 when their
/// address is of its pod range, else on node-1.
class Manifests {
 public:
  Manifests();
  [[nodiscard]] std::string path() const { return folder_.path().string(); }

  void put(const ServiceSpec& service) const;
  /// The EndpointSlices of a service, one for each family in `endpoints`. Without any the slices are there, but empty.
  void put_endpoints(const ServiceSpec& service, const std::vector<EndpointSpec>& endpoints) const;
  void put(const ServiceSpec& service, const std::vector<EndpointSpec>& endpoints) const;
  void remove(const ServiceSpec& service) const;
  void remove_endpoints(const ServiceSpec& service) const;
  void write(const std::string& name, const std::string& text) const { folder_.write(name, text); }
  void remove(const std::string& name) const { folder_.remove(name); }

 private:
  TempFolder folder_;
};

/// Addresses of pods as ready endpoints.
[[nodiscard]] std::vector<EndpointSpec> ready(const std::vector<std::string>& addresses);

/// Whether the tests of this run are about nftables mode: KUBENATD_TEST_MODE=nftables in the environment. Tests that
/// are about iptables' own words or ways are tagged [iptables] and are not run then.
[[nodiscard]] bool in_nftables_mode();

/// The configuration that gives an Agent nftables mode in every run.
[[nodiscard]] std::string nftables_mode();

/// The program under test on a node: its command lines, the configuration and the folder it reads.
///
/// The configuration says clusterCIDR 10.244.0.0/16,fd00:10:244::/56 unless `detection` is false; `extra_config` is
/// YAML that is added to it. The binary and configuration lie where any user can read them.
class Agent {
 public:
  Agent(const Namespace& node, const Manifests& manifests, const std::string& extra_config = {}, bool detection = true);

  std::vector<std::string> extra_arguments;  ///< added to each `run`, `render` and `diff`

  [[nodiscard]] std::vector<std::string> command(const std::string& verb) const;
  /// Runs the binary on the node with just these arguments.
  [[nodiscard]] ProcessResult invoke(const std::vector<std::string>& arguments) const;
  /// `run --once`.
  [[nodiscard]] ProcessResult once() const;
  /// `run --once`, which must succeed.
  void apply() const;
  /// `run`: stays and follows changes until it is destroyed.
  [[nodiscard]] Child start() const;

 private:
  const Namespace& node_;
  const Manifests& manifests_;
  TempFolder files_;
};

/// Copies the binary under test into a folder that any user can read; returns its path.
[[nodiscard]] std::string install_binary(const TempFolder& folder);

/// iptables-save or ip6tables-save of a namespace without comment lines, counters and the mangle table.
[[nodiscard]] std::string saved_rules(const Namespace& where, bool ipv6 = false);

/// True when a rule text with this in it is among the IPv4 rules.
[[nodiscard]] bool has_rule(const Namespace& where, const std::string& part, bool ipv6 = false);

}  // namespace kubenatd::test
