#include "test/kernel/netlink/raw_rules.h"

#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "test/support/process.h"

namespace kubenatd::test {
namespace {

struct Collector {
  std::string chain;
  std::vector<RawRule> rules;
};

int collect_name(nftnl_expr* expression, void* data) {
  static_cast<RawRule*>(data)->expression_names.emplace_back(nftnl_expr_get_str(expression, NFTNL_EXPR_NAME));
  return 0;
}

int collect_expressions(const nlattr* attribute, void* data) {
  if (mnl_attr_get_type(attribute) == NFTA_RULE_EXPRESSIONS)
    static_cast<RawRule*>(data)->expressions.assign(static_cast<const char*>(mnl_attr_get_payload(attribute)),
                                                    mnl_attr_get_payload_len(attribute));
  return MNL_CB_OK;
}

int collect(const nlmsghdr* message, void* data) {
  auto& collector = *static_cast<Collector*>(data);
  const std::unique_ptr<nftnl_rule, void (*)(nftnl_rule*)> rule(nftnl_rule_alloc(),
                                                                [](nftnl_rule* freed) { nftnl_rule_free(freed); });
  if (nftnl_rule_nlmsg_parse(message, rule.get()) != 0) return MNL_CB_ERROR;
  if (collector.chain != nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN)) return MNL_CB_OK;
  RawRule raw;
  raw.handle = nftnl_rule_get_u64(rule.get(), NFTNL_RULE_HANDLE);
  nftnl_expr_foreach(rule.get(), collect_name, &raw);
  if (mnl_attr_parse(message, sizeof(nfgenmsg), collect_expressions, &raw) < 0) return MNL_CB_ERROR;
  collector.rules.push_back(std::move(raw));
  return MNL_CB_OK;
}

}  // namespace

std::vector<RawRule> raw_rules(rules::Family family, rules::Table table, const std::string& chain) {
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(mnl_socket_open(NETLINK_NETFILTER), mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) throw std::runtime_error("no socket");
  std::array<char, 65536> buffer{};
  nlmsghdr* request = nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_GETRULE,
                                            family == rules::Family::kIpv4 ? AF_INET : AF_INET6, NLM_F_DUMP, 7);
  mnl_attr_put_strz(request, NFTA_RULE_TABLE, std::string(rules::name_of(table)).c_str());
  if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0) throw std::runtime_error(std::strerror(errno));
  Collector collector{chain, {}};
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (size < 0) throw std::runtime_error(std::strerror(errno));
    const int state = mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), 7, mnl_socket_get_portid(socket.get()),
                                 collect, &collector);
    if (state == MNL_CB_ERROR) throw std::runtime_error(std::string("dump of rules: ") + std::strerror(errno));
    if (state == MNL_CB_STOP) return collector.rules;
  }
}

std::string must_run(const std::vector<std::string>& arguments, const std::string& input) {
  ProcessOptions options;
  options.input = input;
  const ProcessResult result = run(arguments, options);
  if (!result.ok()) throw std::runtime_error(arguments.front() + ": " + result.describe());
  return result.out;
}

std::string tool(rules::Family family, const std::string& suffix) {
  return (family == rules::Family::kIpv4 ? "iptables" : "ip6tables") + suffix;
}

rules::Rule jump_rule(const std::string& chain, const std::string& comment) {
  rules::Rule rule;
  rule.matches = {rules::CommentMatch{comment}};
  rule.target = rules::Jump{chain, false};
  return rule;
}

}  // namespace kubenatd::test
