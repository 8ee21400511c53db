#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netlink/host/kernel_talk.h"
#include "rules/walk/packet.h"

namespace kubenatd::netlink::host {

/// Asks the kernel whether a packet is in a set of ipset, without reading the set (IPSET_CMD_TEST).
///
/// A match with fewer dimensions than the set has never fits, nor one of another family, as in the kernel. A list:set
/// is read, and its members are asked. What depends on something that a Packet does not have (MAC address, packet mark,
/// the interface out, a source port that is not given) cannot be told.
///
/// Purpose: Surroundings::ipset_has. Threading: one thread. Failure: nothing is told. Cost: two or three questions for
/// a set, one for a new element. Needs CAP_NET_ADMIN. Counters of elements do not change.
class IpsetAsker {
 public:
  [[nodiscard]] static rules::Result<IpsetAsker> open();

  /// `set` by name, or by its number in the kernel: "#5".
  [[nodiscard]] std::optional<bool> has(const rules::walk::InIpset& set, const rules::walk::Packet& packet);

 private:
  struct Kind {
    std::string name;  ///< as the kernel knows it
    std::string type;  ///< "hash:ip,port"
    std::uint8_t family = 0;
  };
  explicit IpsetAsker(KernelTalk talk) : talk_(std::move(talk)) {}

  [[nodiscard]] std::optional<Kind> kind_of(const std::string& name);
  [[nodiscard]] std::optional<std::string> name_of(const std::string& number);
  [[nodiscard]] std::optional<std::vector<std::string>> members_of(const std::string& list);
  [[nodiscard]] std::optional<bool> is_in(const Kind& kind, const std::vector<bool>& source,
                                          const rules::walk::Packet& packet);
  [[nodiscard]] std::optional<bool> is_in_list(const Kind& list, const std::vector<bool>& source,
                                               const rules::walk::Packet& packet);

  KernelTalk talk_;
  std::map<std::string, std::optional<Kind>> kinds_;
};

}  // namespace kubenatd::netlink::host
