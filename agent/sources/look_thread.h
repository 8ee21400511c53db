#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

namespace kubenatd::agent::sources {

/// Follows files in a thread of its own: by notifications, and by a look from time to time.
///
/// Purpose: stat(2) on a network file system whose server is away may take minutes or not end at all. Only this thread
/// waits for it; who takes the results never does. It looks every 5 s, after a change of the mount table (a mount gives
/// no other sign), and when told to. Threading: any one thread may use it; all members of Followed are called by the
/// thread alone. Failure: a thread that waits for a file system when this is destroyed is left behind; it keeps what it
/// uses, and ends when the file system answers, or with the process. Cost: looks take a twentieth of the time at most,
/// as long as one takes less than 3 s; notifications take half of it.
class LookThread {
 public:
  class Followed {
   public:
    Followed() = default;
    Followed(const Followed&) = delete;
    Followed& operator=(const Followed&) = delete;
    virtual ~Followed() = default;

    /// Readable when there are notifications; -1: none come at present.
    [[nodiscard]] virtual int fd() const = 0;
    /// Called once, first.
    virtual void start() = 0;
    virtual void notified() = 0;
    /// `everything`: contents too, whatever seems to be as it was.
    virtual void look(bool everything) = 0;
    /// Something changed that may be half written: settle() is called a little later.
    [[nodiscard]] virtual bool unsettled() const = 0;
    virtual void settle() = 0;
  };

  struct Timing {
    /// The kubelet looks at its folder every 20 s (fileCheckFrequency). Who waits for a change waits less gladly.
    std::chrono::milliseconds period = std::chrono::seconds(5);
    /// A file that is the same for so long is taken for written.
    std::chrono::milliseconds settle = std::chrono::milliseconds(500);
    /// Between looks for the mount table's sake: a node mounts something for each Pod.
    std::chrono::milliseconds after_mount = std::chrono::seconds(1);
    /// For a thread that does not end.
    std::chrono::milliseconds patience = std::chrono::seconds(1);
  };

  explicit LookThread(std::shared_ptr<Followed> followed) : LookThread(std::move(followed), Timing{}) {}
  LookThread(std::shared_ptr<Followed> followed, const Timing& timing);
  LookThread(const LookThread&) = delete;
  LookThread& operator=(const LookThread&) = delete;
  ~LookThread();

  /// A look that reads everything, as soon as may be.
  void read_everything();
  /// For how long it has been waiting for the file system.
  [[nodiscard]] std::chrono::milliseconds busy_for() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace kubenatd::agent::sources
