#include "test/dataplane/fake_expressions.h"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include <utility>

#include "netlink/core/names.h"

namespace kubenatd::agent::test {

void FakeExpressions::expression(std::string_view name, auto&& write) {
  char* element = out_.open();
  out_.text(NFTA_EXPR_NAME, name);
  char* data = out_.open();
  write();
  out_.close(data, NFTA_EXPR_DATA);
  out_.close(element, NFTA_LIST_ELEM);
}

void FakeExpressions::compare(const void* data, std::uint16_t size) {
  expression("cmp", [&] {
    out_.be32(NFTA_CMP_SREG, NFT_REG_1);
    out_.be32(NFTA_CMP_OP, NFT_CMP_EQ);
    char* nest = out_.open();
    out_.raw(NFTA_DATA_VALUE, data, size);
    out_.close(nest, NFTA_CMP_DATA);
  });
}

void FakeExpressions::payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
  expression("payload", [&] {
    out_.be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
    out_.be32(NFTA_PAYLOAD_BASE, base);
    out_.be32(NFTA_PAYLOAD_OFFSET, offset);
    out_.be32(NFTA_PAYLOAD_LEN, size);
  });
}

void FakeExpressions::protocol(std::string_view name) {
  expression("meta", [&] {
    out_.be32(NFTA_META_KEY, NFT_META_L4PROTO);
    out_.be32(NFTA_META_DREG, NFT_REG_1);
  });
  const std::uint8_t number = name == "tcp" ? 6 : 17;
  compare(&number, sizeof number);
}

void FakeExpressions::port(std::uint16_t number) {
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof number);
  const std::uint16_t big = htobe16(number);
  compare(&big, sizeof big);
}

void FakeExpressions::address(bool source, const rules::Address& address) {
  const auto octets = address.octets();
  const auto size = static_cast<std::uint16_t>(octets.size());
  const std::uint32_t first = address.family == rules::Family::kIpv4 ? 12 : 8;
  payload(NFT_PAYLOAD_NETWORK_HEADER, source ? first : first + size, size);
  compare(octets.data(), size);
}

void FakeExpressions::mark(std::uint32_t value) {
  expression("meta", [&] {
    out_.be32(NFTA_META_KEY, NFT_META_MARK);
    out_.be32(NFTA_META_DREG, NFT_REG_1);
  });
  compare(&value, sizeof value);
}

void FakeExpressions::counter() {
  expression("counter", [&] {
    out_.be64(NFTA_COUNTER_BYTES, 0);
    out_.be64(NFTA_COUNTER_PACKETS, 0);
  });
}

void FakeExpressions::verdict(std::string_view name) {
  const auto code = name == "accept" ? NF_ACCEPT : name == "drop" ? NF_DROP : NFT_RETURN;
  immediate(static_cast<std::uint32_t>(code), {});
}

void FakeExpressions::jump(std::string_view chain) {
  immediate(static_cast<std::uint32_t>(NFT_JUMP), chain);
}

void FakeExpressions::immediate(std::uint32_t code, std::string_view chain) {
  expression("immediate", [&] {
    out_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    char* data = out_.open();
    char* verdict = out_.open();
    out_.be32(NFTA_VERDICT_CODE, code);
    if (!chain.empty()) out_.text(NFTA_VERDICT_CHAIN, chain);
    out_.close(verdict, NFTA_DATA_VERDICT);
    out_.close(data, NFTA_IMMEDIATE_DATA);
  });
}

void FakeExpressions::load(std::uint32_t number, const void* data, std::uint16_t size) {
  expression("immediate", [&] {
    out_.be32(NFTA_IMMEDIATE_DREG, number);
    char* nest = out_.open();
    out_.raw(NFTA_DATA_VALUE, data, size);
    out_.close(nest, NFTA_IMMEDIATE_DATA);
  });
}

void FakeExpressions::dnat(const std::optional<rules::Address>& address, std::uint16_t port) {
  if (address) {
    const std::uint16_t big = htobe16(port);
    load(NFT_REG_1, address->octets().data(), static_cast<std::uint16_t>(address->octets().size()));
    load(NFT_REG_2, &big, sizeof big);
  }
  expression("nat", [&] {
    out_.be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    out_.be32(NFTA_NAT_FAMILY, netlink::number_of(family_));
    out_.be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
    if (address) out_.be32(NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
    out_.be32(NFTA_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS);
  });
}

std::string FakeExpressions::take() {
  memory_.resize(static_cast<std::size_t>(out_.at() - memory_.data()));
  return std::move(memory_);
}

}  // namespace kubenatd::agent::test
