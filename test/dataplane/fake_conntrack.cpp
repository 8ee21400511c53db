#include <map>
#include <stdexcept>

#include "test/dataplane/fake_programs.h"

namespace kubenatd::agent::test {
namespace {

rules::Address address_of(const std::string& text) {
  return rules::Address::parse(text).value();
}

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

}  // namespace

/// -I with the options that the cases give it, and -L.
std::string FakePrograms::conntrack(Words words) {
  if (words.size() == 1 && words[0] == "-L") {
    std::string text;
    for (const auto& flow : kernel_.flows())
      text += std::string(flow.protocol == kUdp ? "udp" : "tcp") + " src=" + flow.original_source.to_string() +
              " dst=" + flow.original_destination.to_string() + "\n";
    return text;
  }
  if (words.empty() || words[0] != "-I") throw std::runtime_error("the fake conntrack knows -I and -L");
  std::map<std::string, std::string> options;
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) options[words[i]] = words[i + 1];
  const auto port = [&](const char* option) { return static_cast<std::uint16_t>(std::stoul(options.at(option))); };
  netlink::host::ConntrackFlow flow;
  flow.protocol = options.at("-p") == "udp" ? kUdp : kTcp;
  flow.original_source = address_of(options.at("-s"));
  flow.original_destination = address_of(options.at("-d"));
  flow.original_source_port = port("--sport");
  flow.original_destination_port = port("--dport");
  flow.reply_source = address_of(options.at("-r"));
  flow.reply_source_port = port("--reply-port-src");
  kernel_.add_flow(flow);
  return {};
}

}  // namespace kubenatd::agent::test
