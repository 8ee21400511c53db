#pragma once

#include <cpprest/astreambuf.h>
#include <cpprest/details/http_server.h>
#include <cpprest/details/http_server_api.h>
#include <cpprest/http_listener.h>
#include <cpprest/version.h>

#include <memory>
#include <type_traits>
#include <utility>

/// All that this project uses of cpprestsdk's insides: names under `details` and members that begin with an underscore,
/// which the library may change without a word. Nothing else includes or names them (scripts/layers.sh).
///
/// Signatures are checked here when this is compiled. How the library behaves is checked by
/// test/unit/serve/cpprest_internals_test.cpp; with another version of the library look there first.
namespace kubenatd::agent::base::cpprest {

static_assert(CPPREST_VERSION_MAJOR == 2 && CPPREST_VERSION_MINOR == 10,
              "written for cpprestsdk 2.10 (2.10.18 of Debian 12): compare its insides with what stands here");

/// What stands behind an http_listener: has its URI, and takes requests for its handlers.
using Listener = web::http::experimental::listener::details::http_listener_impl;

static_assert(std::is_same_v<decltype(&Listener::handle_request), void (Listener::*)(web::http::http_request)>);
static_assert(std::is_same_v<decltype(&Listener::uri), const web::http::uri& (Listener::*)() const>);

/// A transport for all http_listeners of the process, in place of the library's own.
using Transport = web::http::experimental::details::http_server;

static_assert(std::is_abstract_v<Transport> && std::has_virtual_destructor_v<Transport>);
static_assert(std::is_same_v<decltype(&Transport::start), pplx::task<void> (Transport::*)()>);
static_assert(std::is_same_v<decltype(&Transport::stop), pplx::task<void> (Transport::*)()>);
static_assert(std::is_same_v<decltype(&Transport::register_listener), pplx::task<void> (Transport::*)(Listener*)>);
static_assert(std::is_same_v<decltype(&Transport::unregister_listener), pplx::task<void> (Transport::*)(Listener*)>);
static_assert(std::is_same_v<decltype(&Transport::respond), pplx::task<void> (Transport::*)(web::http::http_response)>);

[[nodiscard]] inline bool has_transport() {
  return web::http::experimental::details::http_server_api::server_api() != nullptr;
}

/// The library keeps it until the last http_listener closes. Failure: throws while the present one has listeners; one
/// without any is replaced.
inline void register_transport(std::unique_ptr<Transport> transport) {
  web::http::experimental::details::http_server_api::register_server_api(std::move(transport));
}

/// What a transport hangs on a request, to find it at the answer again.
using RequestContext = web::http::details::_http_server_context;

static_assert(std::is_default_constructible_v<RequestContext> && std::has_virtual_destructor_v<RequestContext>);

/// A request as it comes in, without method, target and headers yet.
[[nodiscard]] inline web::http::http_request make_request(std::unique_ptr<RequestContext> context) {
  return web::http::http_request::_create_request(std::move(context));
}

/// That of the request which this answers; none for an answer that belongs to no request of ours.
[[nodiscard]] inline RequestContext* context_of(const web::http::http_response& response) {
  return response._get_server_context();
}

/// The base of stream buffers: takes care of what is open, and hands calls on to the functions with an underscore.
template <class Char>
using StreamBuffer = concurrency::streams::details::streambuf_state_manager<Char>;

static_assert(std::is_abstract_v<StreamBuffer<std::uint8_t>> &&
              std::has_virtual_destructor_v<StreamBuffer<std::uint8_t>>);

}  // namespace kubenatd::agent::base::cpprest
