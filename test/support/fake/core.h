#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/host/conntrack.h"
#include "rules/error.h"
#include "test/support/fake/encoding.h"
#include "test/support/fake/faults.h"
#include "test/support/fake/objects.h"
#include "test/support/fake/request.h"
#include "test/support/fake/transaction.h"

namespace kubenatd::test::fake {

class FakeSocket;

/// The fake kernel itself: takes what sockets send, and queues answers and events.
///
/// Threading: any; one lock for all. Failure: as the kernel's, and as ordered (Faults). Cost: that of the change or of
/// the dump; events are only made when somebody listens.
class Core {
 public:
  struct Counts {
    std::size_t transactions = 0;  ///< sent by anyone
    std::size_t refused = 0;
    std::size_t messages = 0;  ///< within transactions
    std::size_t dumps = 0;
  };

  void attach(FakeSocket& socket);
  void detach(FakeSocket& socket);
  [[nodiscard]] rules::Status handle(FakeSocket& from, std::string_view bytes);

  [[nodiscard]] std::mutex& mutex() { return mutex_; }
  // What the lock guards.
  [[nodiscard]] Faults& faults() { return faults_; }
  [[nodiscard]] Ruleset& ruleset() { return ruleset_; }
  [[nodiscard]] std::vector<netlink::host::ConntrackFlow>& flows() { return flows_; }
  [[nodiscard]] Counts& counts() { return counts_; }

 private:
  void handle_batch(FakeSocket& from, std::string_view bytes);
  void commit(FakeSocket& from, const Request& begin, RequestReader reader);
  /// Commits, sends the events and gives the echoes.
  [[nodiscard]] std::vector<std::string> tell(FakeSocket& from, Transaction& transaction, const Request& first);
  void answer(FakeSocket& from, std::vector<std::string> echoes, std::vector<std::string> answers);

  void handle_request(FakeSocket& from, const Request& request);
  void get_generation(FakeSocket& from, const Request& request);
  [[nodiscard]] std::expected<std::vector<std::string>, Problem> dump(const Request& request, std::uint32_t port_id);
  [[nodiscard]] std::expected<std::string, Problem> look_up(const Request& request, std::uint32_t port_id);
  [[nodiscard]] std::vector<std::string> dump_table(const Request& request, const Envelope& envelope,
                                                    const Table& table);
  [[nodiscard]] Envelope envelope(const Request& request, std::uint32_t port_id) const;
  [[nodiscard]] bool has_listeners() const;

  std::mutex mutex_;
  Ruleset ruleset_;
  Faults faults_;
  Counts counts_;
  std::vector<FakeSocket*> sockets_;
  std::vector<netlink::host::ConntrackFlow> flows_;
};

}  // namespace kubenatd::test::fake
