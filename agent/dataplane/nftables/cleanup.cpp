#include "agent/dataplane/nftables/cleanup.h"

#include <cerrno>

#include "agent/dataplane/table_owner.h"
#include "netlink/nftables/codec.h"

namespace kubenatd::agent::dataplane::nftables {

rules::Result<CleanupReport> remove_table(netlink::NfTables& kernel, rules::Family family, std::string_view table) {
  CleanupReport report;
  const auto there = kernel.has_table(family, table);
  if (!there) return std::unexpected(there.error());
  if (!*there) return report;
  const auto owner = foreign_owner(kernel, family, table);
  if (!owner) return std::unexpected(owner.error());
  if (*owner) return std::unexpected(owned_error(family, table, "delete", name_of_owner(**owner)));
  netlink::Batch batch;
  netlink::nftables::delete_nft_table(batch, family, table);
  const auto committed = kernel.commit(batch, std::nullopt);
  if (!committed) {
    if (committed.error().error.code == ENOENT) return report;  // somebody was faster
    return std::unexpected(committed.error().error);
  }
  report.tables = 1;
  return report;
}

}  // namespace kubenatd::agent::dataplane::nftables
