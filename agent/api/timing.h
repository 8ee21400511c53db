#pragma once

#include <chrono>

namespace kubenatd::agent::api {

/// How long the API source waits for what. The defaults are for a cluster; tests scale them down.
struct ApiTiming {
  using Duration = std::chrono::milliseconds;

  // client-go's reflector: 0.8 s doubled up to 30 s, forgotten after two minutes without a failure.
  Duration backoff_first{800};
  Duration backoff_most{30'000};
  Duration backoff_forget{120'000};
  // client-go's watches end after a random time in [5, 10) minutes, so that clients spread over API servers.
  Duration watch_least{300'000};
  Duration watch_most{600'000};
  Duration watch_margin{30'000};   ///< past its end a watch without an end is a connection that is half-open
  Duration watch_short{1'000};     ///< a watch that ends sooner and without an event is a failure
  Duration answer{30'000};         ///< from the start of a connection to the headers of the answer
  Duration stall{30'000};          ///< between two bytes of a list
  Duration page{120'000};          ///< for a page of a list; the API server gives up after 60 s
  Duration initial_quiet{10'000};  ///< a streamed list that is silent for so long is none: the server ignored the wish
  Duration absent{60'000};         ///< before a resource is asked for again that the server does not have
  Duration retry_after_most{60'000};  ///< of what a server asks for with Retry-After
  Duration credentials{60'000};       ///< files with a token or certificates are looked at so often, when needed
};

}  // namespace kubenatd::agent::api
