#include "agent/dataplane/table_owner.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "agent/base/port_holder.h"
#include "agent/dataplane/trial.h"
#include "netlink/core/trial.h"
#include "netlink/nftables/codec.h"
#include "rules/change.h"

namespace kubenatd::agent::dataplane {

rules::Result<bool> can_own_tables(netlink::Socket& socket, rules::Family family) {
  netlink::Batch table;
  netlink::nftables::add_nft_table(table, family, kOwnedForever);
  const auto tried = netlink::try_out(socket, table.in_table(kTrialName));
  if (!tried) return std::unexpected(tried.error());
  const auto& refusal = tried->front().refusal;
  if (!refusal) return true;
  if (refuses_flags(refusal->code)) return false;
  return std::unexpected(rules::to_error(*refusal));
}

bool refuses_flags(int code) {
  return code == EINVAL || code == EOPNOTSUPP;
}

std::string name_of_owner(std::uint32_t port) {
  const auto holder = base::holder_of_netlink_port(port);
  if (holder) return *holder;
  return fmt::format("a program that is not to be seen from here (netlink port {})", port);
}

rules::Result<std::optional<std::uint32_t>> foreign_owner(netlink::NfTables& kernel, rules::Family family,
                                                          std::string_view table) {
  const auto state = kernel.table(family, table);
  if (!state) return std::unexpected(state.error());
  if (!*state || (*state)->owner == 0 || (*state)->owner == kernel.port_id()) return std::nullopt;
  return (*state)->owner;
}

rules::Error owned_error(rules::Family family, std::string_view table, std::string operation, std::string_view owner) {
  return {.object = rules::to_text(rules::table_ref(family, table)),
          .operation = std::move(operation),
          .cause =
              fmt::format("the table belongs to {}, which runs: nobody else may change it until that has ended", owner),
          .code = EBUSY};
}

}  // namespace kubenatd::agent::dataplane
