#include "agent/serve/seen_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/query.h"
#include "agent/base/secrets.h"
#include "agent/seen/json.h"
#include "rules/address.h"

namespace kubenatd::agent::serve {
namespace {

/// How long the run loop may be busy. A sync of everything takes a second or two at most.
constexpr std::chrono::milliseconds kPatience{3000};

HttpResponse refusal(unsigned status, std::string text) {
  HttpResponse response = plain_text(std::move(text));
  response.status = status;
  return response;
}

/// The answer, or 304 for somebody who has it already.
HttpResponse with_etag(const HttpRequest& request, const std::string& etag, const std::function<HttpResponse()>& make) {
  HttpResponse response;
  if (request.if_none_match == etag) {
    response.status = 304;
  } else {
    response = make();
  }
  if (response.status == 200 || response.status == 304) {
    response.headers.emplace_back("ETag", etag);
    response.headers.emplace_back("Cache-Control", "no-cache");
  }
  return response;
}

/// Guards that all these pages have.
HttpHandler guarded(HttpHandler page) {
  return [page = std::move(page)](const HttpRequest& request) {
    if (request.method != "GET" && request.method != "HEAD") {
      HttpResponse response = refusal(405, "405 method not allowed\n");
      response.headers.emplace_back("Allow", "GET, HEAD");
      return response;
    }
    if (!is_address_or_localhost(request.host)) return refusal(403, "403 ask by an address or as localhost\n");
    return page(request);
  };
}

std::optional<std::uint64_t> parse_after(const std::string& query) {
  const auto values = base::parse_query(query);
  if (!values) return std::nullopt;
  std::uint64_t after = 0;
  for (const auto& [name, value] : *values) {
    const char* const end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, after);
    if (name != "after" || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  }
  return after;
}

HttpResponse services_page(seen::Inquiries& inquiries, const seen::ServicesQuery& query) {
  const auto page = inquiries.ask(query, kPatience);
  if (page) return json_text(200, to_json(*page));
  return refusal(503, page.error() == seen::Inquiries::Failure::kBusy ? "503 the agent is busy; ask again\n"
                                                                      : "503 the agent ends\n");
}

}  // namespace

bool is_address_or_localhost(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end != std::string_view::npos && rules::Address::parse(host.substr(1, end - 1)).has_value();
  }
  host = host.substr(0, host.find(':'));
  return host.empty() || host == "localhost" || rules::Address::parse(host).has_value();
}

std::map<std::string, HttpHandler> seen_pages(const seen::Board& board, seen::Inquiries& inquiries) {
  // Two lives of the agent never give the same tag to different documents.
  const std::string life = fmt::format(
      "{:x}", std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
                  .count());
  const auto status = [&board, life](const HttpRequest& request) {
    const std::uint64_t revision = board.revision();
    const seen::Status known = board.status(std::chrono::system_clock::now());
    // Some problems come and go with time alone.
    return with_etag(request, fmt::format("\"{}-{:x}-{}\"", life, revision, known.problems.size()),
                     [&] { return json_text(200, to_json(known)); });
  };
  const auto services = [&board, &inquiries, life](const HttpRequest& request) {
    const auto query = seen::parse_services_query(request.query);
    if (!query) return refusal(400, "400 this is no query of Services\n");
    return with_etag(request, fmt::format("\"{}-{:x}\"", life, board.revision()),
                     [&] { return services_page(inquiries, *query); });
  };
  const auto history = [&board, life](const HttpRequest& request) {
    const auto after = parse_after(request.query);
    if (!after) return refusal(400, "400 this is no query of the history\n");
    const std::uint64_t revision = board.revision();
    const auto happenings = board.history_after(*after);
    return with_etag(request, fmt::format("\"{}-{:x}\"", life, revision), [&] {
      return json_text(200, to_json(happenings, happenings.empty() ? *after : happenings.back().number));
    });
  };
  const auto log = [](const HttpRequest& /*request*/) {
    std::string text;
    for (const std::string& line : base::last_log_lines()) text += base::without_secret_forms(line) + "\n";
    HttpResponse response = plain_text(std::move(text));
    response.headers.emplace_back("Cache-Control", "no-store");
    return response;
  };
  return {{kStatusPath, guarded(status)},
          {kServicesPath, guarded(services)},
          {kHistoryPath, guarded(history)},
          {kLogPath, guarded(log)}};
}

}  // namespace kubenatd::agent::serve
