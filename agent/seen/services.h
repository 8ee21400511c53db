#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/dataplane/model.h"

/// The Services of this node's view, as values for people and programs.
namespace kubenatd::agent::seen {

struct EndpointsOf {
  std::string family;
  std::size_t ready = 0;
  std::size_t all = 0;
};

/// One endpoint of a service port, and what this node uses it for.
struct EndpointRow {
  std::string address;  ///< "10.0.0.1:80"
  bool ready = false;
  bool serving = false;
  bool here = false;    ///< on this node
  std::string used_by;  ///< "all", "cluster", "local", "" not at all
};

struct PortRow {
  std::string name;  ///< "http"; may be empty
  std::string family;
  std::vector<std::string> frontends;  ///< "10.96.0.10:80/tcp", "NodePort 30080/tcp"
  std::vector<EndpointRow> endpoints;
  std::size_t more_endpoints = 0;  ///< that are not listed
};

struct ServiceRow {
  std::string ns;
  std::string name;
  std::string type;
  std::vector<std::string> addresses;  ///< cluster IPs; "None" of a headless one
  std::vector<std::string> external;   ///< external IPs and load balancers'
  std::vector<std::string> ports;      ///< "80/TCP", "80:30080/TCP"
  std::vector<EndpointsOf> endpoints;
  std::string not_served;              ///< why no rules are made for it; empty: they are
  std::optional<std::string> changed;  ///< since the first sync; none: not since then
  std::size_t drift = 0;               ///< how often chains of it were healed
  std::optional<std::string> last_drift;
  std::optional<double> new_connections;  ///< a second; none: not counted
  std::vector<std::string> problems;
  std::vector<PortRow> detail;  ///< only when it is asked for
  /// Names and protocols of the ports, for who counts; not in the document.
  std::vector<std::pair<std::string, rules::Protocol>> port_names{};
};

/// A part of the list of Services, so that documents stay small.
struct ServicesQuery {
  static constexpr std::size_t kMostRows = 1000;
  enum class Order : std::uint8_t { kName, kChanged, kProblems };
  std::string ns;      ///< empty: all
  std::string name;    ///< exactly; empty: all
  std::string search;  ///< a part of "namespace/name", of an address or of a port
  Order order = Order::kName;
  bool problems_only = false;
  bool detail = false;
  std::size_t offset = 0;
  std::size_t limit = 100;
};

struct ServicesPage {
  std::string schema;
  std::size_t services = 0;  ///< all that are known
  std::size_t matching = 0;  ///< of these
  std::size_t offset = 0;
  std::vector<ServiceRow> rows;
};

inline constexpr const char* kServicesSchema = "kubenatd.services/v1";

/// Reads a query as it stands in a URL ("search=web&limit=50"). None: it is no such query.
[[nodiscard]] std::optional<ServicesQuery> parse_services_query(std::string_view text);
/// The other way, for whoever asks.
[[nodiscard]] std::string to_text(const ServicesQuery& query);

/// How often a chain was healed, and when last.
struct ChainDrift {
  std::size_t times = 0;
  std::string last;
};

/// What is known of service ports besides the model.
struct ServiceRemarks {
  std::optional<base::WallTime> first_sync;                    ///< changes before it are not told
  std::map<std::string, std::vector<std::string>> problems;    ///< by service port name
  std::map<std::string, ChainDrift, std::less<>> chain_drift;  ///< by name of the chain; iptables mode
};

/// Answers a query. In the thread that the model belongs to. Cost: a look at every Service, about a microsecond each;
/// with `detail` or drift another one at every service port.
[[nodiscard]] ServicesPage list_services(const dataplane::Model& model, const ServiceRemarks& remarks,
                                         const ServicesQuery& query);

}  // namespace kubenatd::agent::seen
