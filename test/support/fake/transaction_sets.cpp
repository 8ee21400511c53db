#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <cerrno>

#include "test/support/fake/transaction.h"

/// Sets and elements of a transaction (nf_tables_newset, _delset, _newsetelem, _delsetelem of Linux 6.18).
namespace kubenatd::test::fake {
namespace {

using netlink::Attribute;
using netlink::AttributeReader;
using netlink::find_attribute;

constexpr std::uint32_t kLongestValue = 64;  // NFT_DATA_VALUE_MAXLEN
constexpr std::uint32_t kKnownFlags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL | NFT_SET_TIMEOUT |
                                      NFT_SET_MAP | NFT_SET_EVAL | NFT_SET_OBJECT | NFT_SET_CONCAT | NFT_SET_EXPR;

std::uint32_t number(const Request& request, std::uint16_t attribute) {
  const auto found = request.find(attribute);
  return found ? found->be32() : 0;
}

void read_description(std::string_view nest, Set& set) {
  set.size = find_attribute(nest, NFTA_SET_DESC_SIZE).be32();
  AttributeReader fields(find_attribute(nest, NFTA_SET_DESC_CONCAT).payload);
  for (Attribute field; fields.next(field);)
    set.fields.push_back(find_attribute(field.payload, NFTA_SET_FIELD_LEN).be32());
}

bool is_same(const Set& one, const Set& other) {
  return one.key_type == other.key_type && one.data_type == other.data_type && one.flags == other.flags &&
         one.key_length == other.key_length && one.data_length == other.data_length && one.fields == other.fields;
}

/// Whether every part of `value` lies in the range of the element.
bool covers(const Set& set, const Element& element, std::string_view value) {
  std::size_t at = 0;
  for (const std::uint32_t length : set.fields) {
    const std::string_view part = value.substr(at, length);
    if (part < std::string_view(element.key).substr(at, length) ||
        part > std::string_view(element.key_end).substr(at, length))
      return false;
    at += (length + 3) / 4 * 4;
  }
  return true;
}

/// The element that stands for `value`, as the transaction leaves the set; of ranges within each other the oldest.
Element* find_element(const Set& set, const std::string& value) {
  if (set.has_ranges()) {
    Element* oldest = nullptr;
    for (const auto& [key, element] : set.elements)
      if (element->life.next && covers(set, *element, value) && (oldest == nullptr || element->order < oldest->order))
        oldest = element.get();
    return oldest;
  }
  const auto [first, last] = set.elements.equal_range(value);
  for (auto at = first; at != last; ++at)
    if (at->second->life.next) return at->second.get();
  return nullptr;
}

}  // namespace

Outcome Transaction::new_set(const Request& request) {
  if (!request.has(NFTA_SET_TABLE) || !request.has(NFTA_SET_NAME) || !request.has(NFTA_SET_KEY_LEN) ||
      !request.has(NFTA_SET_ID))
    return Request::refuse(EINVAL);
  Set wanted;
  wanted.name = request.text(NFTA_SET_NAME);
  wanted.flags = number(request, NFTA_SET_FLAGS);
  wanted.key_type = number(request, NFTA_SET_KEY_TYPE);
  wanted.key_length = number(request, NFTA_SET_KEY_LEN);
  wanted.data_type = number(request, NFTA_SET_DATA_TYPE);
  wanted.data_length = number(request, NFTA_SET_DATA_LEN);
  if (wanted.key_length == 0 || wanted.key_length > kLongestValue) return Request::refuse(EINVAL);
  if ((wanted.flags & ~kKnownFlags) != 0) return Request::refuse(EOPNOTSUPP);
  if (((wanted.flags & NFT_SET_MAP) != 0) != (wanted.data_length != 0)) return Request::refuse(EINVAL);
  if (const auto description = request.find(NFTA_SET_DESC)) read_description(description->payload, wanted);
  if (const auto user = request.find(NFTA_SET_USERDATA)) wanted.user_data = user->payload;
  wanted.counted = request.has(NFTA_SET_EXPR);  // nobody sends another one

  const auto found = table_of(request, NFTA_SET_TABLE);
  if (!found) return std::unexpected(found.error());
  Table& table = **found;
  if (Set* set = table.find_set(wanted.name, true); set != nullptr) {
    if ((request.flags & NLM_F_EXCL) != 0 || !is_same(*set, wanted)) return request.refuse(EEXIST, NFTA_SET_NAME);
    if ((request.flags & NLM_F_REPLACE) != 0) return Request::refuse(EOPNOTSUPP);
    Change& change = note(request, NFT_MSG_NEWSET, table);
    change.set = set;
    change.is_update = true;
    return {};
  }
  if ((request.flags & NLM_F_CREATE) == 0) return Request::refuse(ENOENT);
  table.sets.push_back(std::make_unique<Set>(std::move(wanted)));
  Set& set = *table.sets.back();
  set.place = std::prev(table.sets.end());
  set.handle = ++table.last_handle;
  note(request, NFT_MSG_NEWSET, table).set = &set;
  return {};
}

Outcome Transaction::delete_set(const Request& request) {
  const auto found = table_of(request, NFTA_SET_TABLE);
  if (!found) return std::unexpected(found.error());
  Set* set = (*found)->find_set(request.text(NFTA_SET_NAME), true);
  if (set == nullptr) return request.refuse(ENOENT, NFTA_SET_NAME);
  if (set->use != 0 || ((request.flags & NLM_F_NONREC) != 0 && set->filled != 0))
    return request.refuse(EBUSY, NFTA_SET_NAME);
  remove_set(request, **found, *set);
  return {};
}

void Transaction::remove_set(const Request& request, Table& table, Set& set) {
  for (const auto& [key, element] : set.elements)
    if (element->life.next && element->jump != nullptr) --element->jump->use;
  set.life.next = false;
  note(request, NFT_MSG_DELSET, table).set = &set;
}

Outcome Transaction::new_elements(const Request& request) {
  const auto list = request.find(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (!list) return Request::refuse(EINVAL);
  const auto found = table_of(request, NFTA_SET_ELEM_LIST_TABLE);
  if (!found) return std::unexpected(found.error());
  Set* set = (*found)->find_set(request.text(NFTA_SET_ELEM_LIST_SET), true);
  if (set == nullptr) return request.refuse(ENOENT, NFTA_SET_ELEM_LIST_SET);
  AttributeReader reader(list->payload);
  for (Attribute entry; reader.next(entry);)
    if (auto added = add_element(request, entry, **found, *set); !added) return added;
  return {};
}

Outcome Transaction::add_element(const Request& request, const Attribute& entry, Table& table, Set& set) {
  auto element = std::make_unique<Element>();
  const auto value = [&](std::uint16_t type) {
    return find_attribute(find_attribute(entry.payload, type).payload, NFTA_DATA_VALUE).payload;
  };
  element->key = value(NFTA_SET_ELEM_KEY);
  element->key_end = value(NFTA_SET_ELEM_KEY_END);
  element->data = find_attribute(entry.payload, NFTA_SET_ELEM_DATA).payload;
  element->user_data = find_attribute(entry.payload, NFTA_SET_ELEM_USERDATA).payload;
  const bool is_map = (set.flags & NFT_SET_MAP) != 0;
  if (element->data.empty() == is_map) return request.refuse(EINVAL, entry);
  if (element->key.size() > kLongestValue) return request.refuse(EOVERFLOW, entry);
  if (element->key.size() != set.key_length) return request.refuse(EINVAL, entry);
  if (!element->key_end.empty() && (!set.has_ranges() || element->key_end.size() != set.key_length))
    return request.refuse(EINVAL, entry);
  if (set.has_ranges() && element->key_end.empty()) element->key_end = element->key;
  if (is_map && set.data_length != 0) {
    const auto jump = read_verdict(element->data, table);
    if (!jump) return request.refuse(jump.error(), entry);
    element->jump = *jump;
    const std::string_view data = find_attribute(element->data, NFTA_DATA_VALUE).payload;
    if (!data.empty() && data.size() != set.data_length) return request.refuse(EINVAL, entry);
  }
  const Element* there = find_element(set, element->key);
  if (there != nullptr) {
    // What lies in a range that is there, but is not that range, is an overlap; what encloses one is not noticed.
    const bool is_same_key = there->key == element->key && there->key_end == element->key_end;
    if (!is_same_key || there->data != element->data || (request.flags & NLM_F_EXCL) != 0)
      return request.refuse(EEXIST, entry);
    return {};
  }
  if (set.has_ranges() && find_element(set, element->key_end) != nullptr) return request.refuse(EEXIST, entry);
  if (set.size != 0 && set.filled >= set.size) return request.refuse(ENFILE, entry);
  ++set.filled;
  element->order = ++set.last_order;
  if (element->jump != nullptr) ++element->jump->use;
  Change& change = note(request, NFT_MSG_NEWSETELEM, table);
  change.set = &set;
  change.element = element.get();
  change.sequence = 0;  // 6.18 keeps none for elements
  std::string key = element->key;
  set.elements.emplace(std::move(key), std::move(element));
  return {};
}

Outcome Transaction::delete_elements(const Request& request) {
  const auto found = table_of(request, NFTA_SET_ELEM_LIST_TABLE);
  if (!found) return std::unexpected(found.error());
  Set* set = (*found)->find_set(request.text(NFTA_SET_ELEM_LIST_SET), true);
  if (set == nullptr) return request.refuse(ENOENT, NFTA_SET_ELEM_LIST_SET);
  const auto list = request.find(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (!list) {
    for (const auto& [key, element] : set->elements)
      if (element->life.next) remove_element(request, **found, *set, *element);
    return {};
  }
  AttributeReader reader(list->payload);
  for (Attribute entry; reader.next(entry);)
    if (auto removed = remove_element(request, entry, **found, *set); !removed) return removed;
  return {};
}

Outcome Transaction::remove_element(const Request& request, const Attribute& entry, Table& table, Set& set) {
  const std::string key(
      find_attribute(find_attribute(entry.payload, NFTA_SET_ELEM_KEY).payload, NFTA_DATA_VALUE).payload);
  if (key.size() != set.key_length) return request.refuse(EINVAL, entry);
  Element* element = find_element(set, key);
  if (element == nullptr) return request.refuse(ENOENT, entry);
  remove_element(request, table, set, *element);
  return {};
}

void Transaction::remove_element(const Request& request, Table& table, Set& set, Element& element) {
  element.life.next = false;
  --set.filled;
  if (element.jump != nullptr) --element.jump->use;
  Change& change = note(request, NFT_MSG_DELSETELEM, table);
  change.set = &set;
  change.element = &element;
  change.sequence = 0;
}

}  // namespace kubenatd::test::fake
