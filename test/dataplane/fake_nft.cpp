#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/nftables/codec.h"
#include "rules/nftables/ruleset.h"
#include "rules/nftables/text.h"
#include "rules/text.h"
#include "rules/walk/xt/words.h"
#include "test/dataplane/fake_expressions.h"
#include "test/dataplane/fake_programs.h"

namespace kubenatd::agent::test {
namespace {

using rules::Family;
using rules::nftables::FieldType;
using rules::nftables::SetSpec;

constexpr std::size_t kBound = 8192;

Family family_named(const std::string& name) {
  if (name == "ip") return Family::kIpv4;
  if (name == "ip6") return Family::kIpv6;
  throw std::runtime_error("the fake nft does not know family " + name);
}

std::string text_of(Family family) {
  return family == Family::kIpv4 ? "ip" : "ip6";
}

/// A message that holds nothing but texts.
void add_texts(netlink::Batch& batch, std::uint16_t type, std::uint16_t flags, Family family,
               const std::vector<std::pair<std::uint16_t, std::string>>& texts) {
  batch.add(type, flags, family, kBound, [&](char* at) {
    netlink::AttributeWriter out(at);
    for (const auto& [attribute, text] : texts) out.text(attribute, text);
    return out.at();
  });
}

void add_rule(netlink::Batch& batch, Family family, const std::string& table, const std::string& chain,
              const std::string& expressions, bool first) {
  const std::uint16_t flags = first ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_APPEND;
  batch.add(NFT_MSG_NEWRULE, flags, family, kBound, [&](char* at) {
    netlink::AttributeWriter out(at);
    out.text(NFTA_RULE_TABLE, table);
    out.text(NFTA_RULE_CHAIN, chain);
    out.raw(NFTA_RULE_EXPRESSIONS, expressions.data(), static_cast<std::uint16_t>(expressions.size()));
    return out.at();
  });
}

/// Sets and maps of nftables mode, with one of each affinity timeout that the cases use.
const std::vector<SetSpec>& known_sets() {
  static const std::vector<SetSpec> sets =
      rules::nftables::compile_ruleset({}, {.timeouts = {60, 61}, .sizes = rules::nftables::kAllSizes}).sets;
  return sets;
}

const SetSpec& set_named(const std::string& name) {
  const auto found = std::ranges::find(known_sets(), name, &SetSpec::name);
  if (found == known_sets().end()) throw std::runtime_error("the fake nft does not know set " + name);
  return *found;
}

template <std::size_t Capacity>
void add_field(rules::nftables::Bytes<Capacity>& bytes, FieldType type, const std::string& text) {
  switch (type) {
    case FieldType::kAddress: bytes.address(rules::Address::parse(text).value()); return;
    case FieldType::kProtocol:
      for (const auto protocol : {rules::Protocol::kTcp, rules::Protocol::kUdp, rules::Protocol::kSctp})
        if (rules::name_of(protocol) == text) bytes.protocol(protocol);
      return;
    case FieldType::kPort: bytes.port(static_cast<std::uint16_t>(std::stoul(text))); return;
    case FieldType::kClassId: {
      const std::size_t colon = text.find(':');
      bytes.number(static_cast<std::uint32_t>(std::stoul(text.substr(0, colon), nullptr, 16) << 16U |
                                              std::stoul(text.substr(colon + 1), nullptr, 16)));
      return;
    }
  }
}

/// "tcp dport PORT dnat to ADDRESS:PORT", ...: the words that the cases use, one after the other.
std::string read_expressions(std::span<const std::string> words, Family family) {
  FakeExpressions rule(family);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto next = [&]() -> const std::string& { return words[++i]; };
    const std::string& word = words[i];
    if (word == "ip" || word == "ip6") {
      const std::string field = next();
      if (field == "protocol") {
        rule.protocol(next());
      } else {
        rule.address(field == "saddr", rules::Address::parse(next()).value());
      }
    } else if (word == "tcp" || word == "udp") {
      rule.protocol(word);
      if (next() != "dport") throw std::runtime_error("the fake nft knows dport only");
      rule.port(static_cast<std::uint16_t>(std::stoul(next())));
    } else if (word == "th") {
      (void)next();
      rule.port(static_cast<std::uint16_t>(std::stoul(next())));
    } else if (word == "meta") {
      if (next() != "mark") throw std::runtime_error("the fake nft knows meta mark only");
      rule.mark(rules::walk::xt::read_number(next()).value());
    } else if (word == "counter") {
      rule.counter();
    } else if (word == "accept" || word == "drop" || word == "return") {
      rule.verdict(word);
    } else if (word == "jump") {
      rule.jump(next());
    } else if (word == "fib") {
      i += 3;  // "daddr type local" does not count
    } else if (word == "dnat") {
      // Of longer forms where to does not count.
      const std::string target = words.size() == i + 3 && words[i + 1] == "to" ? words[i + 2] : std::string();
      const auto colon = target.rfind(':');
      if (family == Family::kIpv4 && colon != std::string::npos) {
        rule.dnat(rules::Address::parse(target.substr(0, colon)),
                  static_cast<std::uint16_t>(std::stoul(target.substr(colon + 1))));
      } else {
        rule.dnat(std::nullopt, 0);
      }
      break;
    } else {
      throw std::runtime_error("the fake nft does not know: " + word);
    }
  }
  return rule.take();
}

/// Splits at blanks and ";" and "}" as well; "#" and quotes do not come up but in comments of rules, which end there.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  const auto end = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (const char letter : text) {
    if (letter == ' ' || letter == '\n') {
      end();
    } else if (letter == ';' || letter == '{' || letter == '}') {
      end();
      words.emplace_back(1, letter);
    } else {
      word += letter;
    }
  }
  end();
  return words;
}

}  // namespace

std::string FakePrograms::nft(const std::vector<std::string>& given, const std::string& input) {
  std::string text;
  bool with_handles = false;
  if (given == std::vector<std::string>{"-f", "-"}) {
    // One command a line; blocks of nft are not known here.
    for (std::size_t at = 0; at < input.size();) {
      const std::size_t end = std::min(input.find('\n', at), input.size());
      if (const auto words = words_of(input.substr(at, end - at)); !words.empty()) (void)nft_command(words, false);
      at = end + 1;
    }
    return {};
  }
  for (const std::string& word : given) {
    if (word == "-a") {
      with_handles = true;
    } else {
      text += word + " ";
    }
  }
  return nft_command(words_of(text), with_handles);
}

std::string FakePrograms::nft_command(const std::vector<std::string>& words, bool with_handles) {
  const std::string& verb = words.at(0);
  const std::string& what = words.at(1);
  if (verb == "list") return nft_list(Words(words).subspan(1), with_handles);
  netlink::Batch batch;
  if (verb == "flush" && what == "ruleset") {
    for (const std::string& table : std::exchange(inet_tables_, {})) inet(NFT_MSG_DELTABLE, 0, table, {});
    // Without a name: all that no other socket owns.
    for (const Family family : rules::kFamilies) add_texts(batch, NFT_MSG_DELTABLE, 0, family, {});
    commit(batch, "nft flush ruleset");
    return {};
  }
  if (what == "element") {
    nft_element(words, verb == "add");
    return {};
  }
  const std::string& family_name = words.at(2);
  const std::string& table = words.at(3);
  const std::string name = words.size() > 4 ? words[4] : "";
  if (family_name == "inet") {
    if (what == "table" && verb == "add") {
      inet(NFT_MSG_NEWTABLE, NLM_F_CREATE, table, {});
      inet_tables_.insert(table);
    } else if (what == "chain" && verb == "add") {
      inet(NFT_MSG_NEWCHAIN, NLM_F_CREATE, table, name);
    } else {
      throw std::runtime_error("the fake nft does not know " + verb + " " + what + " inet");
    }
    return {};
  }
  const Family family = family_named(family_name);
  if (verb == "add" && what == "table") {
    add_texts(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, family, {{NFTA_TABLE_NAME, table}});
  } else if (verb == "delete" && what == "table") {
    add_texts(batch, NFT_MSG_DELTABLE, 0, family, {{NFTA_TABLE_NAME, table}});
  } else if (verb == "flush" && what == "table") {
    for (const std::string& chain : kernel_.chains(family, table))
      add_texts(batch, NFT_MSG_DELRULE, 0, family, {{NFTA_RULE_TABLE, table}, {NFTA_RULE_CHAIN, chain}});
  } else if (verb == "add" && what == "chain") {
    add_texts(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, {{NFTA_CHAIN_TABLE, table}, {NFTA_CHAIN_NAME, name}});
  } else if (verb == "flush" && what == "chain") {
    add_texts(batch, NFT_MSG_DELRULE, 0, family, {{NFTA_RULE_TABLE, table}, {NFTA_RULE_CHAIN, name}});
  } else if (verb == "flush" && (what == "set" || what == "map")) {
    add_texts(batch, NFT_MSG_DELSETELEM, 0, family,
              {{NFTA_SET_ELEM_LIST_TABLE, table}, {NFTA_SET_ELEM_LIST_SET, name}});
  } else if (verb == "add" && what == "set") {
    constexpr std::uint32_t kAddressType = 7;  // ipv4_addr of nft
    batch.add(NFT_MSG_NEWSET, NLM_F_CREATE, family, kBound, [&](char* at) {
      netlink::AttributeWriter out(at);
      out.text(NFTA_SET_TABLE, table);
      out.text(NFTA_SET_NAME, name);
      out.be32(NFTA_SET_FLAGS, 0);
      out.be32(NFTA_SET_KEY_TYPE, kAddressType);
      out.be32(NFTA_SET_KEY_LEN, sizeof(std::uint32_t));
      out.be32(NFTA_SET_ID, 1);
      return out.at();
    });
  } else if ((verb == "add" || verb == "insert") && what == "rule") {
    add_rule(batch, family, table, name, read_expressions(Words(words).subspan(5), family), verb == "insert");
  } else {
    throw std::runtime_error("the fake nft does not know " + verb + " " + what);
  }
  commit(batch, "nft " + verb + " " + what + " " + table + " " + name);
  return {};
}

/// "add element FAMILY TABLE SET { KEY [: DATA] }", in the table of nftables mode.
void FakePrograms::nft_element(const std::vector<std::string>& words, bool add) {
  const Family family = family_named(words.at(2));
  const SetSpec& set = set_named(words.at(4));
  std::vector<std::string> key;
  std::vector<std::string> data;
  auto* part = &key;
  for (std::size_t i = 6; i + 1 < words.size(); ++i) {
    if (words[i] == ":") {
      part = &data;
    } else if (words[i] != ".") {
      part->push_back(words[i]);
    }
  }
  rules::nftables::ElementKey element{.set = set.ref, .key = {}, .range = 0};
  for (std::size_t i = 0; i < set.key.size(); ++i) {
    const std::string& text = key.at(i);
    const std::size_t slash = text.find('/');
    add_field(element.key, set.key[i], text.substr(0, slash));
    if (slash != std::string::npos)
      element.range = static_cast<std::uint8_t>(rules::bits_of(family) - std::stoul(text.substr(slash + 1)));
  }
  rules::nftables::ElementValue value;
  for (std::size_t i = 0; add && i < set.data.size(); ++i) add_field(value.data, set.data[i], data.at(i));
  netlink::Batch batch;
  using Writer = netlink::nftables::ElementWriter;
  Writer writer(batch, family, add ? Writer::Change::kAdd : Writer::Change::kRemove);
  writer.write(element, value);
  writer.end();
  commit(batch, "nft element");
}

std::string FakePrograms::nft_list(Words words, bool with_handles) {
  std::string text;
  const std::string& what = words[0];
  if (what == "ruleset" || what == "tables") {
    for (const std::string& table : inet_tables_) text += "table inet " + table + "\n";
    for (const Family family : rules::kFamilies)
      for (const std::string& table : kernel_.tables(family))
        text += what == "tables" ? "table " + text_of(family) + " " + table + "\n"
                                 : list_table(family, table, with_handles);
    return text;
  }
  const Family family = family_named(words[1]);
  if (what == "table") return list_table(family, words[2], with_handles);
  if (what == "chain") return list_rules(family, words[2], words[3], with_handles);
  if (what == "map" || what == "set") return list_set(family, words[3]);
  throw std::runtime_error("the fake nft does not list " + what);
}

std::string FakePrograms::list_table(Family family, const std::string& table, bool with_handles) {
  std::string text = "table " + text_of(family) + " " + table + " {\n";
  for (const std::string& set : kernel_.sets(family, table))
    if (table == rules::nftables::kTable && std::ranges::find(known_sets(), set, &SetSpec::name) != known_sets().end())
      text += list_set(family, set);
  for (const std::string& chain : kernel_.chains(family, table)) text += list_rules(family, table, chain, with_handles);
  return text + "}\n";
}

std::string FakePrograms::list_rules(Family family, const std::string& table, const std::string& chain,
                                     bool with_handles) {
  std::string text = "\tchain " + chain + " {" + (with_handles ? " # handle 0" : "") + "\n";
  for (const auto& rule : kernel_.rules_of(family, table, chain))
    text += "\t\t" + rules::to_text(rule.rule, family) +
            (with_handles ? " # handle " + std::to_string(rule.handle) : std::string()) + "\n";
  return text + "\t}\n";
}

std::string FakePrograms::list_set(Family family, const std::string& name) {
  const SetSpec& set = set_named(name);
  std::string text = "\tset " + name + " {\n";
  for (const auto& one : kernel_.elements(family, rules::nftables::kTable, name)) {
    const auto element = netlink::nftables::read_nft_element(one.attributes, set.ref);
    rules::nftables::ElementValue value{.data = element.data, .comment = nullptr};
    if (!element.comment.empty()) value.comment = std::make_shared<const std::string>(element.comment);
    text += "\t\t" + to_text(element.key, value, set, family) + "\n";
  }
  return text + "\t}\n";
}

/// A transaction about a table or chain of family inet, which no Batch can hold.
void FakePrograms::inet(std::uint16_t type, std::uint16_t flags, const std::string& table, const std::string& chain) {
  constexpr std::uint8_t kInet = NFPROTO_INET;
  std::string bytes;
  const auto message = [&](std::uint16_t kind, std::uint16_t kind_flags, std::uint32_t sequence, std::uint8_t family,
                           std::uint16_t resource, const std::string& attributes) {
    const nlmsghdr header{static_cast<std::uint32_t>(sizeof(nlmsghdr) + sizeof(nfgenmsg) + attributes.size()), kind,
                          static_cast<std::uint16_t>(NLM_F_REQUEST | kind_flags), sequence, 0};
    const nfgenmsg general{family, NFNETLINK_V0, htobe16(resource)};
    bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
    bytes.append(reinterpret_cast<const char*>(&general), sizeof general);
    bytes += attributes;
  };
  std::array<char, 512> attributes{};
  netlink::AttributeWriter out(attributes.data());
  out.text(NFTA_TABLE_NAME, table);  // NFTA_CHAIN_TABLE is the same number
  if (!chain.empty()) out.text(NFTA_CHAIN_NAME, chain);
  message(NFNL_MSG_BATCH_BEGIN, 0, 1, 0, NFNL_SUBSYS_NFTABLES, {});
  message(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags, 2, kInet, 0,
          std::string(attributes.data(), out.at()));
  message(NFNL_MSG_BATCH_END, 0, 3, 0, NFNL_SUBSYS_NFTABLES, {});
  const auto before = kernel_.generation();
  const auto socket = kernel_.connect_as(4712, "nft");
  if (const auto sent = socket->send(bytes); !sent) throw std::runtime_error(sent.error().to_string());
  if (kernel_.generation() == before) throw std::runtime_error("nft: the fake kernel refused table inet " + table);
}

}  // namespace kubenatd::agent::test
