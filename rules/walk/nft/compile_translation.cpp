#include <fmt/format.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <bit>

#include "rules/walk/nft/compiler.h"
#include "rules/walk/nft/value_text.h"

/// Translations and refusals of nft's language.
namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::uint8_t kTcp = 6;

constexpr Place kPort{Type::kPort, 2, 0};

Place address_place(bool six) {
  return six ? Place{Type::kAddress6, 16, 0} : Place{Type::kAddress4, 4, 0};
}

bool has(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

bool Compiler::is_six(const Clause& clause) const {
  if (clause.family == "ip") return false;
  if (clause.family == "ip6") return true;
  if (!clause.address.empty()) {
    const Term* term = &clause.address.front();
    while (!term->parts.empty() && (term->kind == Term::Kind::kRange || term->kind == Term::Kind::kPrefix))
      term = &term->parts.front();
    if (term->kind == Term::Kind::kSymbol) return term->text.find(':') != std::string::npos;
  }
  return loader_.network() == std::optional(Header::kIp6);
}

void Compiler::nat(const Clause& clause) {
  Nat nat;
  if (clause.name == "dnat") {
    nat.kind = Nat::Kind::kDestination;
  } else if (clause.name == "snat") {
    nat.kind = Nat::Kind::kSource;
  } else if (clause.name == "masquerade") {
    nat.kind = Nat::Kind::kMasquerade;
  } else {
    nat.kind = Nat::Kind::kRedirect;
  }
  nat.random = has(clause.flags, "random") || has(clause.flags, "fully-random");
  nat.persistent = has(clause.flags, "persistent");
  nat.netmap = has(clause.flags, "netmap") || has(clause.flags, "prefix");
  const bool six = is_six(clause);
  const bool of_one_family = nat.kind == Nat::Kind::kDestination || nat.kind == Nat::Kind::kSource;
  if (!clause.address.empty()) address(clause, nat, six);
  if (!clause.port.empty()) port(clause.port.front(), nat.port, nat.last_port);
  // In a table of both families it is for packets of its own only (nft_nat_inet_eval).
  if (of_one_family) loader_.need_network(six ? Header::kIp6 : Header::kIp);
  end(std::move(nat));
}

void Compiler::address(const Clause& clause, Nat& nat, bool six) {
  const Term& term = clause.address.front();
  const Place place = address_place(six);
  if (term.kind == Term::Kind::kMap) return address_from_map(term, nat, place);
  if (is_range(term, place)) {
    const auto range = read_range(term, place, false);
    nat.address = range ? make(Constant{range->first}) : make(Unread{clause.text, place.size});
    if (range) nat.last_address = make(Constant{range->second});
    return;
  }
  nat.address = loader_.value(term, place);
}

void Compiler::address_from_map(const Term& term, Nat& nat, const Place& place) {
  // What the map has is told by its elements: an address, or an address and a port.
  std::vector<Place> data{place};
  if (term.parts.size() == 2 && term.parts[1].kind == Term::Kind::kSet) {
    for (const Term& element : term.parts[1].parts)
      if (element.parts.size() > 1 && element.parts[1].kind == Term::Kind::kConcat) {
        data.push_back(kPort);
        break;
      }
  }
  const ExpressionPtr found = loader_.look_up(term, data);
  const auto* map = std::get_if<MapLookup>(&found->what);
  if (map == nullptr) {
    nat.address = found;
    return;
  }
  const auto slice = [&](std::size_t offset, std::uint16_t size) {
    return make(Slice{found, static_cast<std::uint16_t>(offset), size});
  };
  const std::size_t with_port = place.size + filled_up(kPort.size);
  const WalkSet* set = table_.set(map->map);
  const bool has_port = set != nullptr && set->data_type.find(" . ") != std::string::npos;
  if (map->size == place.size) {
    nat.address = found;
  } else if (map->size == with_port && has_port) {
    nat.address = slice(0, place.size);
    nat.port = slice(place.size, kPort.size);
  } else if (map->size == 2 * place.size && !has_port) {
    nat.address = slice(0, place.size);
    nat.last_address = slice(place.size, place.size);
  } else if (map->size == 2 * with_port) {
    nat.address = slice(0, place.size);
    nat.port = slice(place.size, kPort.size);
    nat.last_address = slice(with_port, place.size);
    nat.last_port = slice(with_port + place.size, kPort.size);
  } else {
    nat.address = make(Unread{term.text, place.size});
    nat.port = make(Unread{term.text, kPort.size});
  }
}

void Compiler::port(const Term& term, ExpressionPtr& first, ExpressionPtr& last) {
  if (is_range(term, kPort)) {
    const auto range = read_range(term, kPort, false);
    first = range ? make(Constant{range->first}) : make(Unread{term.text, kPort.size});
    if (range) last = make(Constant{range->second});
    return;
  }
  first = loader_.value(term, kPort);
  const auto* map = std::get_if<MapLookup>(&first->what);
  if (map != nullptr && map->size == 2 * kPort.size) {
    const ExpressionPtr found = first;
    first = make(Slice{found, 0, kPort.size});
    last = make(Slice{found, kPort.size, kPort.size});
  }
}

void Compiler::tproxy(const Clause& clause) {
  Tproxy tproxy;
  const bool six = is_six(clause);
  if (!clause.address.empty()) tproxy.address = loader_.value(clause.address.front(), address_place(six));
  ExpressionPtr last;
  if (!clause.port.empty()) port(clause.port.front(), tproxy.port, last);
  // nft 1.0.6 does not print what comes out of a map.
  if (!tproxy.address && !tproxy.port) tproxy.port = make(Unread{clause.text, kPort.size});
  if (tproxy.address || !clause.family.empty()) loader_.need_network(six ? Header::kIp6 : Header::kIp);
  add(std::move(tproxy));
}

void Compiler::reject(const Clause& clause) {
  if (clause.name == "tcp reset") {
    loader_.need_transport(kTcp);
    return end(Refuse{"tcp-reset"});
  }
  std::string_view family = clause.name;
  std::string code = clause.terms.empty() ? "port-unreachable" : clause.terms.front().text;
  if (family.empty()) {
    family = "icmpx";
    if (loader_.network() == std::optional(Header::kIp)) family = "icmp";
    if (loader_.network() == std::optional(Header::kIp6)) family = "icmpv6";
  }
  if (family == "icmp") loader_.need_network(Header::kIp);
  if (family == "icmpv6") loader_.need_network(Header::kIp6);
  const auto number = read_number(code);
  for (const Answer& answer : answers())
    if (answer.family == family && (answer.code_name == code || (number && answer.code == *number)))
      return end(Refuse{std::string(answer.name)});
  end(Refuse{fmt::format("{} code {}", family == "icmpv6" ? "icmp6" : family, code)});
}

}  // namespace kubenatd::rules::walk::nft
