#include "agent/dataplane/nftables/cleanup.h"

#include <cerrno>

#include "netlink/nftables/codec.h"

namespace kubenatd::agent::dataplane::nftables {

rules::Result<CleanupReport> remove_table(netlink::NfTables& kernel, rules::Family family, std::string_view table) {
  CleanupReport report;
  const auto there = kernel.has_table(family, table);
  if (!there) return std::unexpected(there.error());
  if (!*there) return report;
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
