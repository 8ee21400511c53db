#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "test/soak/fault_log.h"

namespace kubenatd::soak {

/// What became of connections. Threading: any.
class Figures {
 public:
  Figures(const FaultLog& faults, Complaints& complaints) : faults_(faults), complaints_(complaints) {}

  /// One that was answered by whom it should.
  void answered(const std::string& kind);
  /// One that was not: it is blamed on a fault that stood between the two times, or on kubenatd.
  void failed(const std::string& kind, const std::string& what, const std::string& how, Time begun, Time ended);
  /// One that went to a pod that had left at that time, or had never been there (Time::min()).
  void strayed(const std::string& kind, const std::string& what, const std::string& pod, Time left, Time begun,
               Time ended);
  /// New connections were answered wrongly, or not at all, from one time to another.
  void wrong_from(Time from, Time to, const std::string& how);

  struct Longest {
    Clock::duration time{};
    std::size_t count = 0;
  };
  struct Summary {
    std::map<std::string, std::size_t> answered;  ///< by kind of way
    std::map<std::string, std::size_t> failed;    ///< by what happened and the fault
    std::map<std::string, Longest> strayed;       ///< by fault
    std::map<std::string, Longest> wrong;         ///< by fault
  };
  [[nodiscard]] Summary summary() const;

  /// Longer than any change takes to come to the kernel on a loaded machine.
  static constexpr std::chrono::seconds kLate{10};

 private:
  const FaultLog& faults_;
  Complaints& complaints_;
  mutable std::mutex mutex_;
  Summary summary_;
};

inline const std::string kNoFault = "no fault";

}  // namespace kubenatd::soak
