#pragma once

#include <cstddef>
#include <string>
#include <vector>

/// The floor that a sync is measured against: the very bytes it sent, sent again by nothing but sendmsg and recv.
namespace kubenatd::bench {

/// From now on, keeps a copy of every nf_tables transaction that this process sends.
void start_recording();
/// What was recorded; recording ends.
[[nodiscard]] std::vector<std::string> stop_recording();

/// Sends recorded transactions to the kernel of this namespace, with the generation they must name put in. Returns the
/// seconds it took; ends the program when the kernel refuses one.
[[nodiscard]] double replay(const std::vector<std::string>& transactions);

/// Transactions are handed from the measuring child to the replaying one through a file without a name.
void save(int fd, const std::vector<std::string>& transactions);
[[nodiscard]] std::vector<std::string> restore(int fd);

}  // namespace kubenatd::bench
