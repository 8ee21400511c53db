#pragma once

#include <cstdint>
#include <optional>

#include "agent/config/settings.h"
#include "agent/dataplane/dataplane.h"

namespace kubenatd::agent::dataplane::nftables {

/// Makes the table `kubenatd` of one family belong to the session's socket alone, where that is wanted and the kernel
/// can (flags owner and persist, Linux 6.9): then no other program can change it, flush ruleset passes it by, and it
/// stays when the socket is closed, without an owner, for the next agent.
///
/// Purpose: what has to happen with the table as a whole before its content is compared. Whether the kernel can, a
/// table says that has the flags, and else it is tried. Where there is no table it is made so, empty: a trial that
/// leaves nothing behind takes the kernel some 10 ms (it waits for a grace period of RCU, nf_tables_abort, 6.18). A
/// table without an owner is taken over by a transaction of its own, which changes its flags and nothing else: in one
/// with other changes the kernel refuses new base chains (nf_tables_addchain, 6.18). A table that never had one cannot
/// get one, and has to be made anew, by the transaction that writes its content. Threading: one thread. Failure: a
/// table of another program that runs is an error (EBUSY). Cost: a question; at the start a small transaction.
class Ownership {
 public:
  Ownership(rules::Family family, config::Settings::OwnTable wanted) : family_(family), wanted_(wanted) {}

  /// Looks at the table and takes it over, if it can be. Until it has succeeded nothing may be written.
  [[nodiscard]] rules::Status claim(NfSession& session);
  /// The table has to be made anew.
  [[nodiscard]] bool must_replace() const { return must_replace_; }
  /// It was asleep (flag dormant), which nobody wants, and was woken by claim() since the last call.
  [[nodiscard]] bool take_woken();
  /// Flags with which it is written; none: as it is.
  [[nodiscard]] std::optional<std::uint32_t> flags() const { return flags_; }
  /// What was prepared after claim() is in the kernel.
  void committed();

  /// Another program owns it.
  [[nodiscard]] bool is_foreign() const { return told_.state == TableOwnership::State::kForeign; }
  [[nodiscard]] const TableOwnership& state() const { return told_; }

 private:
  [[nodiscard]] rules::Status find_out_support(NfSession& session, const std::optional<netlink::TableState>& table);
  [[nodiscard]] rules::Status set_flags(NfSession& session, std::uint32_t flags);

  rules::Family family_;
  config::Settings::OwnTable wanted_;
  std::optional<bool> supported_;  ///< none: not known yet
  bool must_replace_ = false;
  bool woken_ = false;
  std::optional<std::uint32_t> flags_;
  TableOwnership next_;  ///< what will be in force with the next commit
  TableOwnership told_;
};

}  // namespace kubenatd::agent::dataplane::nftables
