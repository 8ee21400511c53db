#include "test/support/fake/request.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

namespace kubenatd::test::fake {

std::uint8_t Request::family() const {
  return message.size() < sizeof(nlmsghdr) + sizeof(nfgenmsg) ? 0
                                                              : static_cast<std::uint8_t>(message[sizeof(nlmsghdr)]);
}

std::string_view Request::attributes() const {
  return message.substr(std::min(message.size(), sizeof(nlmsghdr) + sizeof(nfgenmsg)));
}

std::optional<netlink::Attribute> Request::find(std::uint16_t attribute) const {
  netlink::AttributeReader reader(attributes());
  for (netlink::Attribute found; reader.next(found);)
    if (found.type == attribute) return found;
  return std::nullopt;
}

std::string_view Request::text(std::uint16_t attribute) const {
  const auto found = find(attribute);
  return found ? found->text() : std::string_view();
}

std::unexpected<Problem> Request::refuse(int code, const netlink::Attribute& at) const {
  const auto offset = static_cast<std::uint32_t>(at.payload.data() - message.data()) - NLA_HDRLEN;
  return std::unexpected(Problem{code, offset, {}});
}

std::unexpected<Problem> Request::refuse(int code, std::uint16_t attribute) const {
  const auto found = find(attribute);
  return found ? refuse(code, *found) : refuse(code);
}

bool RequestReader::next(Request& request) {
  nlmsghdr header;
  if (rest_.size() < sizeof header) return false;
  std::memcpy(&header, rest_.data(), sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest_.size()) return false;
  request = {header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq, rest_.substr(0, header.nlmsg_len)};
  rest_.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest_.size()));
  return true;
}

}  // namespace kubenatd::test::fake
