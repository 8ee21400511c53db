#pragma once

#include "test/soak/agent.h"
#include "test/soak/api_faults.h"

namespace kubenatd::soak {

/// What happens to the agent's process. Threading: one thread, that of the agent's life.
class ProcessFaults {
 public:
  ProcessFaults(Agent& agent, FaultLog& faults, ApiFaults::Rest rest)
      : agent_(agent), faults_(faults), rest_(std::move(rest)) {}

  void make(Dice& dice);
  /// A restart in the other mode, and back. Meanwhile nobody may compare the rules with what the mode wants.
  void change_mode(Dice& dice);

 private:
  void kill(Dice& dice);
  void terminate(Dice& dice);
  void reload(Dice& dice);
  void short_of_memory(Dice& dice);

  Agent& agent_;
  FaultLog& faults_;
  ApiFaults::Rest rest_;
};

}  // namespace kubenatd::soak
