#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rules/chain_name.h"
#include "rules/rule.h"

/// Names of the CNI portmap plugin's chains, and how those of kubenatd are told from others.
namespace kubenatd::rules::hostport {

inline constexpr std::string_view kDnatChain = "CNI-HOSTPORT-DNAT";
inline constexpr std::string_view kMarkChain = "CNI-HOSTPORT-SETMARK";
inline constexpr std::string_view kMasqueradeChain = "CNI-HOSTPORT-MASQ";
inline constexpr std::string_view kContainerPrefix = "CNI-DN-";
/// The network name of kubenatd's own chains, where portmap has the name of a CNI network.
inline constexpr std::string_view kNetwork = "kubenatd";

/// "CNI-DN-" and 21 hexadecimal digits of SHA-512(network + container id), as portmap names a container's chain.
[[nodiscard]] ChainName container_chain(std::string_view network, std::string_view container_id);

/// What kubenatd writes in the place of a container id: "NAMESPACE/NAME" of the pod. A text that is too long for the
/// comment is cut and ends in "~" and 16 hexadecimal digits of its hash.
[[nodiscard]] std::string container_id(std::string_view ns, std::string_view name);

/// The comment of the rules in CNI-HOSTPORT-DNAT that lead to a container's chain.
[[nodiscard]] std::string entry_comment(std::string_view network, std::string_view container_id);

/// One of the three chains that all writers of host ports share.
[[nodiscard]] bool is_shared_chain(Table table, std::string_view chain);
/// True for a container's chain, of any writer.
[[nodiscard]] bool is_container_chain(Table table, std::string_view chain);

/// The container id in a rule of CNI-HOSTPORT-DNAT that kubenatd wrote: the comment has its network name, and the chain
/// is the one that follows from the comment. Nothing for rules of others.
[[nodiscard]] std::optional<std::string> own_entry(const Rule& rule);

/// True for a rule in one of the shared chains that kubenatd writes there.
[[nodiscard]] bool is_own_rule(std::string_view chain, const Rule& rule);

}  // namespace kubenatd::rules::hostport
