#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>

#include "test/server/api_server.h"
#include "test/server/certificates.h"
#include "test/soak/dice.h"
#include "test/soak/fault_log.h"

namespace kubenatd::soak {

/// The troubles of an API server. Threading: one thread, that of the agent's life.
class ApiFaults {
 public:
  using Rest = std::function<void(std::chrono::milliseconds)>;
  /// `rest` passes the time of a trouble.
  ApiFaults(test::ApiServer& server, const test::Authority& authority, FaultLog& faults, Rest rest)
      : server_(server), authority_(authority), faults_(faults), rest_(std::move(rest)) {}

  /// One of them, from its begin to its end.
  void make(Dice& dice);

  /// The certificate of the server when all is well.
  [[nodiscard]] static test::KeyPair good_certificate(const test::Authority& authority);

 private:
  void away(Dice& dice);
  void certificate(Dice& dice);
  void trouble(const std::string& kind, std::chrono::milliseconds time, std::function<bool(test::Reply&)> trouble);

  test::ApiServer& server_;
  const test::Authority& authority_;
  FaultLog& faults_;
  Rest rest_;
};

}  // namespace kubenatd::soak
