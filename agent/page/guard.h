#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/serve/http_server.h"

/// Who may ask for the page, and what its answers forbid a browser.
namespace kubenatd::agent::page {

/// The node's own names, lower case: that of the Node and that of the machine.
[[nodiscard]] std::vector<std::string> own_names(const std::string& node);

/// A page that only GET and HEAD may have, and only under an address, localhost or one of `names`: a web page whose own
/// name leads here (DNS rebinding) is told 421. A request that a page of another site makes is refused where
/// `same_site` says so. Every answer forbids scripts, styles and frames of others, and guessing of types.
[[nodiscard]] serve::HttpHandler guarded(serve::HttpHandler page, std::vector<std::string> names, bool same_site);

/// The answer with an ETag of its content, or 304 for somebody who has it already.
[[nodiscard]] serve::HttpResponse with_etag(const serve::HttpRequest& request, serve::HttpResponse response);

/// An error in words.
[[nodiscard]] serve::HttpResponse refusal(unsigned status, std::string text);

}  // namespace kubenatd::agent::page
