#pragma once

#include <map>
#include <string>

#include "agent/config/config.h"
#include "agent/page/explainer.h"
#include "agent/seen/board.h"
#include "agent/seen/inquiries.h"
#include "agent/serve/http_server.h"

/// The page of the agent, for people with a browser: /ui/.
namespace kubenatd::agent::page {

struct PageOptions {
  std::string node;
  config::Config::Mode mode = config::Config::Mode::kIptables;
  bool counts = true;  ///< the rules count connections
  Explain explain{};   ///< none: packets are not explained
  Explain trace{};     ///< the same for packets that are traced
};

/// By path. Handlers refer to board and inquiries, may wait some seconds and are for one lane, which is not that of the
/// probes. Cost: nothing until somebody asks.
[[nodiscard]] std::map<std::string, serve::HttpHandler> ui_pages(const seen::Board& board, seen::Inquiries& inquiries,
                                                                 PageOptions options);

inline constexpr const char* kUiPath = "/ui/";
inline constexpr const char* kNowPath = "/ui/api/now";
inline constexpr const char* kExplainPath = "/ui/api/explain";
inline constexpr const char* kTracePath = "/ui/api/trace";

}  // namespace kubenatd::agent::page
