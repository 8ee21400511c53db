#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "netlink/core/nf_tables.h"
#include "rules/error.h"
#include "rules/rule.h"

/// Tables of nft that one program owns: since Linux 5.12 only the socket that owns a table may change it.
///
/// Threading: as NfTables. Failure: values. Cost: a question; who is found out by a look at all processes.
namespace kubenatd::agent::dataplane {

/// The flags of a table that belongs to the socket which sets them, and stays when that is closed (Linux 6.9).
inline constexpr std::uint32_t kOwnedForever = netlink::kTableOwner | netlink::kTablePersist;

/// Whether the kernel knows these flags: tried out, with a table that never comes into being. An error: it could not be
/// found out.
[[nodiscard]] rules::Result<bool> can_own_tables(netlink::Socket& socket, rules::Family family);

/// Whether a kernel that does not know flags of a table says so: EINVAL until 5.12 and in 7.2, else EOPNOTSUPP.
[[nodiscard]] bool refuses_flags(int code);

/// Who owns a table, for people: "kubenatd (4711)", or "a program that is not to be seen from here (netlink port
/// 4711)".
[[nodiscard]] std::string name_of_owner(std::uint32_t port);

/// Port of the socket that owns the table. None: nobody but `kernel`'s own socket does, or there is no such table.
[[nodiscard]] rules::Result<std::optional<std::uint32_t>> foreign_owner(netlink::NfTables& kernel, rules::Family family,
                                                                        std::string_view table);

/// What to say where a table cannot be changed because of its owner (EBUSY).
[[nodiscard]] rules::Error owned_error(rules::Family family, std::string_view table, std::string operation,
                                       std::string_view owner);

}  // namespace kubenatd::agent::dataplane
