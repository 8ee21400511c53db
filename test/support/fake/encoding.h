#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "test/support/fake/objects.h"
#include "test/support/fake/request.h"
#include "test/support/fake/transaction.h"

/// What the fake kernel says, as netlink messages.
namespace kubenatd::test::fake {

/// Who is spoken to and about what: the header of an answer or event.
struct Envelope {
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port_id = 0;
  std::uint32_t generation = 0;
};

/// A program that writes to nf_tables: what NFT_MSG_NEWGEN tells of it.
struct Process {
  std::uint32_t id = 0;
  std::string name;
};

[[nodiscard]] std::string encode_generation(const Envelope& envelope, const Process& writer);
[[nodiscard]] std::string encode_table(const Envelope& envelope, std::uint16_t type, const Table& table);
[[nodiscard]] std::string encode_chain(const Envelope& envelope, std::uint16_t type, const Table& table,
                                       const Chain& chain);
/// `previous`: handle of the rule before it, 0 when it is the first.
[[nodiscard]] std::string encode_rule(const Envelope& envelope, std::uint16_t type, const Table& table,
                                      const Chain& chain, const Rule& rule, std::uint64_t previous);
[[nodiscard]] std::string encode_set(const Envelope& envelope, std::uint16_t type, const Table& table, const Set& set);
/// What NFTA_LIST_ELEM holds.
[[nodiscard]] std::string encode_element(const Set& set, const Element& element);
/// `elements`: encoded ones, each an attribute NFTA_LIST_ELEM (see nest).
[[nodiscard]] std::string encode_elements(const Envelope& envelope, std::uint16_t type, const Table& table,
                                          const Set& set, std::string_view elements);
/// An attribute that holds others.
[[nodiscard]] std::string nest(std::uint16_t type, std::string_view content);

/// The event of a change, or its echo.
[[nodiscard]] std::string encode_change(const Envelope& envelope, const Change& change);

/// NLMSG_ERROR with capped request and extended acknowledgement; code 0 acknowledges.
[[nodiscard]] std::string encode_answer(const Request& request, std::uint32_t port_id, const Problem& problem);
/// NLMSG_DONE of a dump.
[[nodiscard]] std::string encode_done(const Envelope& envelope);

}  // namespace kubenatd::test::fake
