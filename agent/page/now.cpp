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
/// A list may take this part of the time,
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

void Rates::add_to(seen::ServicesPage& page) {
  const Clock::time_point now = Clock::now();
  if (!kernel_) {
    auto kernel = netlink::NfTables::open();
    if (!kernel) return;
    kernel_ = std::move(*kernel);
  }
  std::erase_if(known_, [&](const auto& one) { return one.second.at + kForgotten < now; });
  for (seen::ServiceRow& row : page.rows) {
    if (!row.not_served.empty()) continue;
    const std::string service = row.ns + "/" + row.name;
    const auto before = known_.find(service);
    if (before != known_.end() && now - before->second.at < kShortestSpan) {
      row.new_connections = before->second.rate;
      continue;
    }
    Known next{.ports = {}, .at = now, .rate = {}};
    std::uint64_t connections = 0;
    bool complete = before != known_.end();
    for (const seen::EndpointsOf& family : row.endpoints) {
      const auto kind = family.family == name_of(rules::Family::kIpv4) ? rules::Family::kIpv4 : rules::Family::kIpv6;
      for (const auto& [name, protocol] : row.port_names) {
        auto packets =
            serve::endpoint_packets(*kernel_, kind, state::service_port_name({row.ns, row.name}, name), protocol);
        if (!packets) {
          complete = false;
          continue;
        }
        const std::string key = fmt::format("{} {} {}", family.family, name, name_of(protocol));
        if (before != known_.end()) {
          const auto last = before->second.ports.find(key);
          if (last != before->second.ports.end()) {
            connections += serve::packets_since(last->second, *packets);
          } else {
            complete = false;
          }
        }
        next.ports[key] = std::move(*packets);
      }
    }
    if (complete) {
      // One decimal: a document whose figures are never the same is never the same.
      const double seconds = std::chrono::duration<double>(now - before->second.at).count();
      next.rate = std::round(static_cast<double>(connections) / seconds * 10) / 10;
    }
    row.new_connections = next.rate;
    known_.insert_or_assign(service, std::move(next));
  }
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
