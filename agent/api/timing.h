#pragma once

#include <chrono>

namespace kubenatd::agent::api {

/// How long the API source waits, and for what. The defaults are for a cluster; tests use shorter times.
struct ApiTiming {
  using Duration = std::chrono::milliseconds;

  // client-go's reflector: 0.8 s doubled up to 30 s, forgotten after two minutes without a failure.
  Duration backoff_first{800};
  Duration backoff_most{30'000};
  Duration backoff_forget{120'000};
  // client-go's watches end after a random time between 5 and 10 minutes, so that clients spread over the API servers.
  Duration watch_least{300'000};
  Duration watch_most{600'000};
  Duration watch_margin{30'000};      ///< a watch that is still open so long after its time is a half-open connection
  Duration watch_short{1'000};        ///< a watch that ends earlier than this, without an event, is a failure
  Duration head_start{250};           ///< of an address before the next one of a host is tried, too (RFC 8305)
  Duration connect{10'000};           ///< for one address to take a connection
  Duration answer{30'000};            ///< from the start of a connection to the headers of the answer
  Duration stall{30'000};             ///< between two bytes of a list
  Duration page{120'000};             ///< for a page of a list; the API server gives up after 60 s
  Duration initial_quiet{10'000};     ///< a stream that is silent for so long: sendInitialEvents was ignored
  Duration absent{60'000};            ///< until a resource that the server does not have is asked for again
  Duration retry_after_most{60'000};  ///< the longest Retry-After that is respected
  Duration credentials{60'000};  ///< how often files with a token or certificates are read again, if requests are made
};

}  // namespace kubenatd::agent::api
