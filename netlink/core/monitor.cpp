#include "netlink/core/monitor.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/names.h"

namespace kubenatd::netlink {
namespace {

using Kind = TableEvent::Kind;

// Some 20 000 rule events; a limit, not memory that is taken.
constexpr std::size_t kQueueBytes = 16 * 1024 * 1024;
// A writer that never stops must not keep drain() from returning; what is left keeps fd() readable.
constexpr std::size_t kMaxEvents = 100'000;

Kind kind_of(std::uint16_t type) {
  switch (type) {
    case NFT_MSG_NEWTABLE: return Kind::kTableAdded;
    case NFT_MSG_DELTABLE: return Kind::kTableDeleted;
    case NFT_MSG_NEWCHAIN: return Kind::kChainAdded;
    case NFT_MSG_DELCHAIN: return Kind::kChainDeleted;
    case NFT_MSG_NEWRULE: return Kind::kRuleAdded;
    case NFT_MSG_DELRULE: return Kind::kRuleDeleted;
    case NFT_MSG_NEWGEN: return Kind::kGeneration;
    default: return Kind::kOther;
  }
}

void read_generation(std::string_view attributes, TableEvent& event) {
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case NFTA_GEN_ID: event.generation = attribute.be32(); break;
      case NFTA_GEN_PROC_PID: event.process_id = attribute.be32(); break;
      case NFTA_GEN_PROC_NAME: event.process_name = attribute.text(); break;
      default: break;
    }
  }
}

/// Table, chain and handle come first, before the expressions (nf_tables_fill_rule_info).
void read_names(std::string_view attributes, TableEvent& event) {
  const bool is_rule = event.kind == Kind::kRuleAdded || event.kind == Kind::kRuleDeleted;
  const bool is_chain = event.kind == Kind::kChainAdded || event.kind == Kind::kChainDeleted;
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);) {
    // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE are one number.
    if (attribute.type == NFTA_TABLE_NAME) event.table_name = attribute.text();
    if (is_rule && attribute.type == NFTA_RULE_CHAIN) event.chain = attribute.text();
    if (is_rule && attribute.type == NFTA_RULE_HANDLE) {
      event.handle = attribute.be64();
      if (event.kind == Kind::kRuleDeleted) return;
    }
    if (is_rule && attribute.type == NFTA_RULE_EXPRESSIONS) {
      event.expressions = attribute.payload;
      return;
    }
    if (is_chain && attribute.type == NFTA_CHAIN_NAME) {
      event.chain = attribute.text();
      return;
    }
    if (!is_rule && !is_chain) return;
  }
}

TableEvent read_event(const Message& message, std::uint16_t type) {
  TableEvent event;
  event.kind = kind_of(type);
  event.port_id = message.port_id;
  if (event.kind == Kind::kGeneration) {
    read_generation(message.attributes(), event);
    return event;
  }
  const auto family = family_of(message.family());
  if (!family) {
    event.kind = Kind::kOther;
    return event;
  }
  event.family = *family;
  if (event.kind == Kind::kOther) {
    event.table_name = find_attribute(message.attributes(), NFTA_SET_TABLE).text();
    static_assert(int{NFTA_SET_NAME} == int{NFTA_FLOWTABLE_NAME} && int{NFTA_SET_TABLE} == int{NFTA_FLOWTABLE_TABLE});
    const bool is_flowtable = type == NFT_MSG_NEWFLOWTABLE || type == NFT_MSG_DELFLOWTABLE;
    (is_flowtable ? event.flowtable : event.set) = find_attribute(message.attributes(), NFTA_SET_NAME).text();
    return event;
  }
  read_names(message.attributes(), event);
  event.table = table_of(event.table_name);
  if (!event.table) event.kind = Kind::kOther;
  return event;
}

}  // namespace

Monitor::Monitor(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {
  socket_->grow_receive_buffer(kQueueBytes);
}

rules::Result<Monitor> Monitor::open() {
  auto socket = open_socket();
  if (!socket) return std::unexpected(std::move(socket.error()));
  return Monitor(std::move(*socket));
}

int Monitor::fd() const {
  return socket_->fd();
}

rules::Status Monitor::join() {
  socket_->drain();
  return socket_->join(NFNLGRP_NFTABLES);
}

rules::Status Monitor::leave() {
  if (auto left = socket_->leave(NFNLGRP_NFTABLES); !left) return left;
  socket_->drain();
  return {};
}

rules::Result<Monitor::Drained> Monitor::drain(const std::function<void(const TableEvent&)>& visit) {
  return drain_events(*socket_, kMaxEvents, [&](const Message& message) {
    const auto type = message.table_type();
    if (type) visit(read_event(message, *type));
    return type.has_value();
  });
}

}  // namespace kubenatd::netlink
