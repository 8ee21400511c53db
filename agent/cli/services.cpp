#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/running_agent.h"
#include "agent/seen/json.h"
#include "agent/seen/show.h"
#include "agent/serve/seen_pages.h"

namespace kubenatd::agent::cli {
namespace {

seen::ServicesQuery query_of(const SeenOptions& options) {
  seen::ServicesQuery query{.ns = {}, .name = options.name, .search = {}};
  if (const auto slash = options.name.find('/'); slash != std::string::npos) {
    query.ns = options.name.substr(0, slash);
    query.name = options.name.substr(slash + 1);
  }
  query.problems_only = options.problems_only;
  query.detail = !options.name.empty();
  query.limit = seen::ServicesQuery::kMostRows;
  return query;
}

/// All rows, part by part: a part is as much as the agent gives at once.
rules::Result<seen::ServicesPage> gather(const Options& options) {
  seen::ServicesQuery query = query_of(options.seen);
  seen::ServicesPage all;
  while (true) {
    const auto document = ask_running_agent(options.flags, fmt::format("{}?{}", serve::kServicesPath, to_text(query)));
    if (!document) return std::unexpected(document.error());
    auto page = seen::read_services(*document);
    if (!page) return page;
    const std::size_t rows = page->rows.size();
    if (query.offset == 0) {
      all = std::move(*page);
    } else {
      std::ranges::move(page->rows, std::back_inserter(all.rows));
      all.services = page->services;
      all.matching = page->matching;
    }
    query.offset += rows;
    if (rows == 0 || query.offset >= all.matching) return all;
  }
}

}  // namespace

int services(const Options& options) {
  const auto known = gather(options);
  if (!known) {
    base::log_error(known.error());
    return kExitNoAnswer;
  }
  if (options.seen.json) {
    fmt::print("{}\n", nlohmann::ordered_json::parse(to_json(*known)).dump(2));
  } else if (!known->rows.empty()) {
    fmt::print("{}", to_text(*known, options.seen.wide ? seen::Width::kWide : seen::Width::kUsual,
                             base::to_rfc3339(std::chrono::system_clock::now())));
  } else if (options.seen.name.empty()) {
    fmt::print("{}\n", options.seen.problems_only ? fmt::format("none of {} Services has a problem", known->services)
                                                  : "the agent knows no Service");
  }
  if (!finish_output()) return kExitNoAnswer;
  if (options.seen.name.empty() || !known->rows.empty()) return kExitOk;
  base::log_error("there is no such Service", {{"name", options.seen.name}, {"services", known->services}});
  return kExitFailed;
}

}  // namespace kubenatd::agent::cli
