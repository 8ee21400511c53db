#include "agent/page/guard.h"

#include <sys/utsname.h>

#include <algorithm>
#include <utility>

#include "agent/serve/seen_pages.h"
#include "rules/iptables/names.h"
#include "rules/words.h"

namespace kubenatd::agent::page {
namespace {

using serve::HttpRequest;
using serve::HttpResponse;

/// Data of a page that were anything but its own files would be somebody's trick.
constexpr const char* kPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

std::string name_in(std::string_view host) {
  std::string name = rules::lower_case(host.substr(0, host.find(':')));
  if (name.ends_with('.')) name.pop_back();
  return name;
}

HttpResponse judge(const serve::HttpHandler& page, const std::vector<std::string>& names, bool same_site,
                   const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    HttpResponse response = refusal(405, "405 only GET and HEAD\n");
    response.headers.emplace_back("Allow", "GET, HEAD");
    return response;
  }
  if (!serve::is_address_or_localhost(request.host) && std::ranges::find(names, name_in(request.host)) == names.end())
    return refusal(421, "421 this page is for those who ask by an address, as localhost or by the node's own name\n");
  if (same_site && !request.fetch_site.empty() && request.fetch_site != "same-origin" && request.fetch_site != "none")
    return refusal(403, "403 a page of another site asks for this\n");
  return page(request);
}

}  // namespace

std::vector<std::string> own_names(const std::string& node) {
  std::vector<std::string> names;
  if (!node.empty()) names.push_back(name_in(node));
  utsname system{};
  if (::uname(&system) == 0) names.push_back(name_in(static_cast<const char*>(system.nodename)));
  std::erase(names, "");
  return names;
}

serve::HttpHandler guarded(serve::HttpHandler page, std::vector<std::string> names, bool same_site) {
  return [page = std::move(page), names = std::move(names), same_site](const HttpRequest& request) {
    HttpResponse response = judge(page, names, same_site, request);
    response.headers.emplace_back("Content-Security-Policy", kPolicy);
    response.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
    response.headers.emplace_back("Referrer-Policy", "no-referrer");
    return response;
  };
}

HttpResponse with_etag(const HttpRequest& request, HttpResponse response) {
  const std::string etag = "\"" + rules::iptables::hash16(response.body) + "\"";
  if (request.if_none_match == etag) {
    response.status = 304;
    response.body.clear();
  }
  response.headers.emplace_back("ETag", etag);
  response.headers.emplace_back("Cache-Control", "no-cache");
  return response;
}

HttpResponse refusal(unsigned status, std::string text) {
  HttpResponse response = serve::plain_text(std::move(text));
  response.status = status;
  return response;
}

}  // namespace kubenatd::agent::page
