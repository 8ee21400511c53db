#include "agent/page/now.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/query.h"
#include "agent/page/guard.h"
#include "agent/seen/json.h"
#include "agent/serve/connection_counts.h"
#include "agent/state/service_state.h"

namespace kubenatd::agent::page {
namespace {

using serve::HttpResponse;

constexpr std::chrono::milliseconds kPatience{3000};
/// A list, or a reading of counters, may take this part of the time,
constexpr int kListShare = 100;
/// but is not put off for longer.
constexpr std::chrono::seconds kLongestPause{5};
/// More than a screen shows.
constexpr std::size_t kMostRows = 200;
/// Between two readings of counters, so that two viewers do not halve each other's time.
constexpr std::chrono::milliseconds kShortestSpan{800};
constexpr std::chrono::seconds kForgotten{30};

enum class View : std::uint8_t { kServices, kService, kHistory, kPacket };

struct Asked {
  View view = View::kServices;
  std::uint64_t after = 0;
  seen::ServicesQuery services;
};

std::optional<View> view_of(const std::string& word) {
  if (word == "services") return View::kServices;
  if (word == "service") return View::kService;
  if (word == "history") return View::kHistory;
  if (word == "packet") return View::kPacket;
  return std::nullopt;
}

std::optional<Asked> parse(const std::string& text) {
  const auto values = base::parse_query(text);
  if (!values) return std::nullopt;
  Asked asked;
  std::string rest;
  for (const auto& [name, value] : *values) {
    if (name == "view") {
      const auto view = view_of(value);
      if (!view) return std::nullopt;
      asked.view = *view;
    } else if (name == "after") {
      const char* const end = value.data() + value.size();
      const auto read = std::from_chars(value.data(), end, asked.after);
      if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
    } else {
      rest += fmt::format("{}{}={}", rest.empty() ? "" : "&", base::query_encoded(name), base::query_encoded(value));
    }
  }
  auto services = seen::parse_services_query(rest);
  if (!services) return std::nullopt;
  asked.services = std::move(*services);
  asked.services.limit = std::min(asked.services.limit, kMostRows);
  asked.services.detail = asked.view == View::kService;
  if (asked.view == View::kService && (asked.services.ns.empty() || asked.services.name.empty())) return std::nullopt;
  return asked;
}

HttpResponse failed(seen::Inquiries::Failure failure) {
  return refusal(
      503, failure == seen::Inquiries::Failure::kBusy ? "503 the agent is busy; ask again\n" : "503 the agent ends\n");
}

}  // namespace

Rates::Ports Rates::ports_of(const seen::ServiceRow& row) {
  Ports ports;
  for (const seen::EndpointsOf& family : row.endpoints) {
    const auto kind = family.family == name_of(rules::Family::kIpv4) ? rules::Family::kIpv4 : rules::Family::kIpv6;
    for (const auto& [name, protocol] : row.port_names)
      ports.insert({state::service_port_name({row.ns, row.name}, name), protocol, kind});
  }
  return ports;
}

Rates::Known Rates::look(const Ports& ports, const std::map<serve::CountedPort, serve::Packets>& counts,
                         const Known* before, Clock::time_point now) {
  Known next{.ports = {}, .at = now, .rate = {}};
  std::uint64_t connections = 0;
  bool complete = before != nullptr;
  for (const serve::CountedPort& port : ports) {
    const auto packets = counts.find(port);
    if (packets == counts.end()) {
      complete = false;
      continue;
    }
    next.ports.insert(*packets);
    if (before == nullptr) continue;
    const auto last = before->ports.find(port);
    if (last == before->ports.end()) {
      complete = false;
    } else {
      connections += serve::packets_since(last->second, packets->second);
    }
  }
  if (!complete) return next;
  // One decimal: a document whose figures are never the same is never the same.
  const double seconds = std::chrono::duration<double>(now - before->at).count();
  next.rate = std::round(static_cast<double>(connections) / seconds * 10) / 10;
  return next;
}

void Rates::add_to(seen::ServicesPage& page) {
  const Clock::time_point now = Clock::now();
  if (!kernel_) {
    auto kernel = netlink::NfTables::open();
    if (!kernel) return;
    kernel_ = std::move(*kernel);
  }
  std::erase_if(known_, [&](const auto& one) { return one.second.at + kForgotten < now; });
  const auto service_of = [](const seen::ServiceRow& row) { return row.ns + "/" + row.name; };
  std::map<std::string, Ports> due;
  Ports all;
  for (const seen::ServiceRow& row : page.rows) {
    const auto known = known_.find(service_of(row));
    const bool is_fresh = known != known_.end() && now - known->second.at < kShortestSpan;
    if (now < next_ || is_fresh || !row.not_served.empty()) continue;
    const Ports& ports = due[service_of(row)] = ports_of(row);
    all.insert(ports.begin(), ports.end());
  }
  if (!due.empty()) {
    const Clock::time_point begin = Clock::now();
    const auto counts = serve::read_counts(*kernel_, mode_, all);
    const Clock::time_point end = Clock::now();
    next_ = end + std::min<Clock::duration>((end - begin) * kListShare, kLongestPause);
    for (const auto& [service, ports] : due) {
      const auto before = known_.find(service);
      known_.insert_or_assign(service, look(ports, counts, before == known_.end() ? nullptr : &before->second, end));
    }
  }
  for (seen::ServiceRow& row : page.rows)
    if (const auto known = known_.find(service_of(row)); known != known_.end() && row.not_served.empty())
      row.new_connections = known->second.rate;
}

Now::Listed* Now::list(const seen::ServicesQuery& query, HttpResponse& failure) {
  const std::string text = to_text(query);
  const std::uint64_t revision = board_.revision();
  const Clock::time_point begin = Clock::now();
  auto known = std::ranges::find(listed_, text, &Listed::query);
  if (known != listed_.end() && (known->revision == revision || begin < known->next)) return &*known;
  auto page = inquiries_.ask(query, kPatience);
  if (!page) {
    failure = failed(page.error());
    return nullptr;
  }
  std::shared_ptr<const WantedService> wanted;
  if (query.detail) {
    // The run loop may come to it when nobody waits any more.
    const auto result = std::make_shared<std::shared_ptr<const WantedService>>();
    const auto looked = inquiries_.look([result, ns = query.ns, name = query.name](
                                            const dataplane::Model& model) { *result = wanted_of(model, ns, name); },
                                        kPatience);
    if (!looked) {
      failure = failed(looked.error());
      return nullptr;
    }
    wanted = std::move(*result);
  }
  if (known != listed_.end()) listed_.erase(known);
  if (listed_.size() == kMostListed) listed_.pop_front();
  const Clock::time_point end = Clock::now();
  const auto pause = std::min<Clock::duration>((end - begin) * kListShare, kLongestPause);
  listed_.push_back({text, revision, std::move(*page), std::move(wanted), end + pause});
  return &listed_.back();
}

HttpResponse Now::answer(const serve::HttpRequest& request) {
  const auto asked = parse(request.query);
  if (!asked) return refusal(400, "400 this is no question of the page\n");
  seen::Status status = board_.status(std::chrono::system_clock::now());
  status.now.clear();  // or it would never be the same
  std::string body = fmt::format(R"({{"schema":"kubenatd.page/v1","counts":{},"traces":{})", can_.count, can_.trace);
  body += R"(,"status":)" + to_json(status);
  if (asked->view == View::kHistory) {
    const auto happenings = board_.history_after(asked->after);
    body += R"(,"history":)" + to_json(happenings, happenings.empty() ? asked->after : happenings.back().number);
  }
  if (asked->view == View::kServices || asked->view == View::kService) {
    HttpResponse failure;
    Listed* listed = list(asked->services, failure);
    if (listed == nullptr) return failure;
    if (can_.count) rates_.add_to(listed->page);
    body += R"(,"services":)" + to_json(listed->page);
    if (listed->wanted)
      body += R"(,"families":)" +
              picture_.draw(*listed->wanted).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  body += "}";
  return with_etag(request, serve::json_text(200, std::move(body)));
}

}  // namespace kubenatd::agent::page
