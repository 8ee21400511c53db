#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "agent/base/query.h"
#include "agent/seen/services.h"

namespace kubenatd::agent::seen {
namespace {

using Order = ServicesQuery::Order;

bool read_number(const std::string& text, std::size_t& number) {
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc() && read.ptr == end;
}

bool read_flag(const std::string& text, bool& flag) {
  flag = text == "true";
  return flag || text == "false";
}

bool read_order(const std::string& text, Order& order) {
  if (text == "name") {
    order = Order::kName;
  } else if (text == "changed") {
    order = Order::kChanged;
  } else if (text == "problems") {
    order = Order::kProblems;
  } else {
    return false;
  }
  return true;
}

bool read_part(const std::string& name, std::string value, ServicesQuery& query) {
  if (name == "namespace") {
    query.ns = std::move(value);
  } else if (name == "name") {
    query.name = std::move(value);
  } else if (name == "search") {
    query.search = std::move(value);
  } else if (name == "order") {
    return read_order(value, query.order);
  } else if (name == "problems") {
    return read_flag(value, query.problems_only);
  } else if (name == "detail") {
    return read_flag(value, query.detail);
  } else if (name == "offset") {
    return read_number(value, query.offset);
  } else if (name == "limit") {
    return read_number(value, query.limit);
  } else {
    return false;
  }
  return true;
}

std::string_view name_of(Order order) {
  switch (order) {
    case Order::kName: return "name";
    case Order::kChanged: return "changed";
    case Order::kProblems: return "problems";
  }
  return "name";
}

}  // namespace

std::optional<ServicesQuery> parse_services_query(std::string_view text) {
  auto values = base::parse_query(text);
  if (!values) return std::nullopt;
  ServicesQuery query;
  for (auto& [name, value] : *values)
    if (!read_part(name, std::move(value), query)) return std::nullopt;
  query.limit = std::min(query.limit, ServicesQuery::kMostRows);
  return query;
}

std::string to_text(const ServicesQuery& query) {
  std::string text = fmt::format("order={}&offset={}&limit={}", name_of(query.order), query.offset, query.limit);
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format("&{}={}", name, base::query_encoded(value));
  };
  add("namespace", query.ns);
  add("name", query.name);
  add("search", query.search);
  if (query.problems_only) text += "&problems=true";
  if (query.detail) text += "&detail=true";
  return text;
}

}  // namespace kubenatd::agent::seen
