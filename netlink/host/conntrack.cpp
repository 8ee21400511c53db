#include "netlink/host/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "netlink/core/messages.h"
#include "netlink/host/conntrack_entry.h"
#include "netlink/host/libnl.h"

// Messages are read and built attribute by attribute with libnl-3 instead of its nfnl_ct objects, because those
// (libnl-nf 3.7.0, lib/netfilter/ct.c)
//  - do not know CTA_TUPLE_ZONE: an entry whose zone holds for one direction only could not be told and deleted;
//  - allocate an object and four addresses per entry: a dump of 500 000 entries would make millions of allocations;
//  - read the protocol from the entry but cannot ask the kernel to filter by it (CTA_FILTER).
namespace kubenatd::netlink::host {
namespace {

/// Entries deleted with one send: about 10 KiB, whose answers fit into any socket buffer.
constexpr std::size_t kDeletesPerSend = 64;
/// The kernel fills dump messages up to 32 KiB when the reader's buffer allows it (netlink_dump).
constexpr std::size_t kReadSize = 32768;
/// CTA_FILTER_F_CTA_PROTO_NUM of the kernel's net/netfilter/nf_internals.h; since Linux 5.8, older kernels ignore it.
constexpr std::uint32_t kFilterByProtocol = 1U << 3;

constexpr std::uint16_t message_type(std::uint8_t type) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
}

constexpr std::uint8_t family_number(rules::Family family) {
  return family == rules::Family::kIpv4 ? AF_INET : AF_INET6;
}

std::string object_of(rules::Family family) {
  return std::string(rules::name_of(family)) + " conntrack entries";
}

using Attributes = ConntrackAttributes;

/// Deletes entries in groups: one send for many, no acknowledgement but for the last, every refusal reported.
///
/// It may run while a dump of the table is going on: the kernel starts a hash bucket again when the entry at which a
/// dump had stopped is gone (ctnetlink_dump_table), so that nothing is left out; an entry seen twice is gone the second
/// time. Memory: one group.
class Deleter {
 public:
  Deleter(LibnlSocket socket, LibnlCallbacks callbacks, rules::Family family)
      : socket_(std::move(socket)), callbacks_(std::move(callbacks)), family_(family) {
    nl_cb_set(callbacks_.get(), NL_CB_ACK, NL_CB_CUSTOM, &Deleter::on_ack, this);
    nl_cb_err(callbacks_.get(), NL_CB_CUSTOM, &Deleter::on_error, this);
  }
  Deleter(const Deleter&) = delete;
  Deleter& operator=(const Deleter&) = delete;

  /// Takes the entry of a dumped message. False when the kernel could not be reached.
  [[nodiscard]] bool add(const Attributes& entry) {
    const std::size_t start = buffer_.size();
    nlmsghdr header{};
    header.nlmsg_type = message_type(IPCTNL_MSG_CT_DELETE);
    header.nlmsg_flags = NLM_F_REQUEST;
    header.nlmsg_seq = ++sequence_;
    nfgenmsg generic{};
    generic.nfgen_family = family_number(family_);
    generic.version = NFNETLINK_V0;
    append(&header, sizeof header);
    append(&generic, sizeof generic);
    // The reply tuple as the kernel told it, with a zone inside it if it has one: unlike the original one it names the
    // endpoint, so that a right entry that has come in place of the stale one is not found. CTA_ID alone is no guard:
    // it is made from the entry's memory address and original tuple (nf_ct_get_id), and memory is used again.
    append_attribute(entry[CTA_TUPLE_REPLY]);
    append_attribute(entry[CTA_ZONE]);
    append_attribute(entry[CTA_ID]);
    last_start_ = start;
    header_at(start).set_length(buffer_.size() - start);
    if (++pending_ < kDeletesPerSend) return true;
    return flush();
  }

  [[nodiscard]] bool flush() {
    if (pending_ == 0) return true;
    header_at(last_start_).add_flags(NLM_F_ACK);
    finished_ = false;
    refused_in_group_ = 0;
    int outcome = nl_sendto(socket_.get(), buffer_.data(), buffer_.size());
    while (outcome >= 0 && !finished_) outcome = nl_recvmsgs(socket_.get(), callbacks_.get());
    if (outcome < 0) {
      transport_error_ = outcome;
      return false;
    }
    deleted_ += pending_ - refused_in_group_;
    pending_ = 0;
    buffer_.clear();
    return true;
  }

  [[nodiscard]] std::size_t deleted() const { return deleted_; }
  [[nodiscard]] std::size_t busy() const { return busy_; }
  [[nodiscard]] std::size_t failed() const { return failed_; }
  [[nodiscard]] int first_errno() const { return first_errno_; }
  [[nodiscard]] int transport_error() const { return transport_error_; }
  [[nodiscard]] std::unexpected<rules::Error> transport_failure() const {
    return socket_.failure("delete", transport_error_);
  }

 private:
  struct HeaderField {
    char* at;
    void set_length(std::size_t length) {
      const auto value = static_cast<std::uint32_t>(length);
      std::memcpy(at + offsetof(nlmsghdr, nlmsg_len), &value, sizeof value);
    }
    void add_flags(std::uint16_t flags) {
      std::uint16_t value = 0;
      std::memcpy(&value, at + offsetof(nlmsghdr, nlmsg_flags), sizeof value);
      value |= flags;
      std::memcpy(at + offsetof(nlmsghdr, nlmsg_flags), &value, sizeof value);
    }
  };
  HeaderField header_at(std::size_t start) { return {buffer_.data() + start}; }

  void append(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    buffer_.insert(buffer_.end(), bytes, bytes + size);
  }
  void append_attribute(const nlattr* attribute) {
    if (attribute == nullptr) return;
    append(attribute, attribute->nla_len);
    buffer_.resize(NLA_ALIGN(buffer_.size()));  // every message starts aligned
  }

  static int on_ack(nl_msg* message, void* arg) {
    auto* self = static_cast<Deleter*>(arg);
    if (nlmsg_hdr(message)->nlmsg_seq == self->sequence_) self->finished_ = true;
    return NL_STOP;
  }

  static int on_error(sockaddr_nl* /*from*/, nlmsgerr* error, void* arg) {
    auto* self = static_cast<Deleter*>(arg);
    ++self->refused_in_group_;
    const int code = positive_errno(error->error);
    switch (code) {
      case ENOENT: break;                // it went by itself
      case EBUSY: ++self->busy_; break;  // in a flow table (IPS_OFFLOAD): it ends when the flow ends
      default:
        ++self->failed_;
        if (self->first_errno_ == 0) self->first_errno_ = code;
    }
    if (error->msg.nlmsg_seq != self->sequence_) return NL_SKIP;
    self->finished_ = true;  // a refusal of the last one stands for its acknowledgement
    return NL_SKIP;
  }

  LibnlSocket socket_;
  LibnlCallbacks callbacks_;
  rules::Family family_;
  std::vector<char> buffer_;
  std::size_t last_start_ = 0;
  std::size_t pending_ = 0;
  std::size_t refused_in_group_ = 0;
  std::uint32_t sequence_ = 0;
  bool finished_ = false;
  std::size_t deleted_ = 0;
  std::size_t busy_ = 0;
  std::size_t failed_ = 0;
  int first_errno_ = 0;
  int transport_error_ = 0;
};

/// One dump and what it led to; the callbacks' context.
struct Dump {
  rules::Family family;
  std::uint8_t protocol;
  const std::function<bool(const ConntrackFlow&)>& stale;
  Deleter& deleter;
  std::size_t seen = 0;
  bool finished = false;
  bool interrupted = false;
  Acknowledgement refusal;  ///< of the whole dump
};

int on_entry(nl_msg* message, void* arg) {
  auto& dump = *static_cast<Dump*>(arg);
  const nlmsghdr* header = nlmsg_hdr(message);
  if (header->nlmsg_type != message_type(IPCTNL_MSG_CT_NEW)) return NL_OK;
  Attributes entry{};
  const auto flow = read_conntrack_entry(*header, dump.family, dump.protocol, entry);
  if (!flow) return NL_OK;
  ++dump.seen;
  if (!dump.stale(*flow)) return NL_OK;
  return dump.deleter.add(entry) ? NL_OK : NL_STOP;
}

int on_finish(nl_msg* /*message*/, void* arg) {
  static_cast<Dump*>(arg)->finished = true;
  return NL_STOP;
}

int on_interrupted(nl_msg* /*message*/, void* arg) {
  static_cast<Dump*>(arg)->interrupted = true;
  return NL_OK;
}

LibnlMessage dump_request(rules::Family family, std::uint8_t protocol, bool filtered) {
  LibnlMessage message(nlmsg_alloc_simple(message_type(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP));
  if (!message) return nullptr;
  nfgenmsg generic{};
  generic.nfgen_family = family_number(family);
  generic.version = NFNETLINK_V0;
  bool fits = nlmsg_append(message.get(), &generic, sizeof generic, NLMSG_ALIGNTO) == 0;
  if (filtered) {
    nlattr* tuple = nla_nest_start(message.get(), CTA_TUPLE_ORIG);
    nlattr* proto = tuple != nullptr ? nla_nest_start(message.get(), CTA_TUPLE_PROTO) : nullptr;
    fits = fits && proto != nullptr && nla_put_u8(message.get(), CTA_PROTO_NUM, protocol) == 0;
    if (!fits) return nullptr;
    nla_nest_end(message.get(), proto);
    nla_nest_end(message.get(), tuple);
    nlattr* filter = nla_nest_start(message.get(), CTA_FILTER);
    fits = filter != nullptr && nla_put_u32(message.get(), CTA_FILTER_ORIG_FLAGS, kFilterByProtocol) == 0 &&
           nla_put_u32(message.get(), CTA_FILTER_REPLY_FLAGS, 0) == 0;
    if (fits) nla_nest_end(message.get(), filter);
  }
  return fits ? std::move(message) : nullptr;
}

/// Runs one dump to its end. An error of the kernel is left in dump.refusal.
rules::Status run(Dump& dump, bool filtered) {
  const std::string object = object_of(dump.family);
  rules::Result<LibnlSocket> socket = LibnlSocket::connect(NETLINK_NETFILTER, object);
  if (!socket) return std::unexpected(std::move(socket.error()));
  nl_socket_disable_msg_peek(socket->get());
  if (const int error = nl_socket_set_msg_buf_size(socket->get(), kReadSize); error < 0)
    return socket->failure("size the read buffer", error);
  const LibnlCallbacks callbacks = socket->make_callbacks(true);
  const LibnlMessage request = dump_request(dump.family, dump.protocol, filtered);
  if (!callbacks || !request) return rules::fail(object, "list", "out of memory", ENOMEM);
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, &on_entry, &dump);
  nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, &on_finish, &dump);
  nl_cb_set(callbacks.get(), NL_CB_DUMP_INTR, NL_CB_CUSTOM, &on_interrupted, &dump);

  if (const int error = nl_send_auto(socket->get(), request.get()); error < 0) return socket->failure("list", error);
  while (!dump.finished) {
    errno = 0;
    const int outcome = nl_recvmsgs(socket->get(), callbacks.get());
    dump.refusal = socket->refusal();
    if (dump.refusal.code != 0 || dump.deleter.transport_error() != 0) return {};
    // ENOBUFS is about an answer that was lost; the dump itself waits for its reader and goes on.
    if (outcome == -NLE_NOMEM && errno == ENOBUFS) {
      dump.interrupted = true;
      continue;
    }
    if (outcome < 0) return socket->failure("list", outcome);
  }
  return {};
}

}  // namespace

rules::Result<ConntrackSweep> sweep_conntrack(rules::Family family, std::uint8_t protocol,
                                              const std::function<bool(const ConntrackFlow&)>& stale) {
  const std::string object = object_of(family);
  rules::Result<LibnlSocket> socket = LibnlSocket::connect(NETLINK_NETFILTER, object);
  if (!socket) return std::unexpected(std::move(socket.error()));
  LibnlCallbacks callbacks = socket->make_callbacks(false);
  if (!callbacks) return rules::fail(object, "delete", "out of memory", ENOMEM);
  Deleter deleter(std::move(*socket), std::move(callbacks), family);
  Dump dump{.family = family, .protocol = protocol, .stale = stale, .deleter = deleter, .refusal = {}};
  rules::Status status = run(dump, true);
  // A kernel that knows filters but not this one says so before it sends an entry; the callback filters anyway.
  const auto& refusal = dump.refusal;
  if (status && (refusal.code == EINVAL || refusal.code == EOPNOTSUPP)) status = run(dump, false);
  if (!status) return std::unexpected(std::move(status.error()));
  if (refusal.code == EINVAL || refusal.code == EOPNOTSUPP)
    return rules::fail(object, "list", "this kernel has no ctnetlink (nf_conntrack_netlink)", EOPNOTSUPP);
  if (refusal.code != 0) return rules::fail(object, "list", refusal.cause(), refusal.code);

  if (deleter.transport_error() != 0 || !deleter.flush()) return deleter.transport_failure();
  if (deleter.failed() != 0)
    return rules::fail(object, "delete",
                       std::to_string(deleter.failed()) + " refused: " + std::strerror(deleter.first_errno()),
                       deleter.first_errno());
  return ConntrackSweep{dump.seen, deleter.deleted(), deleter.busy(), dump.interrupted};
}

}  // namespace kubenatd::netlink::host
