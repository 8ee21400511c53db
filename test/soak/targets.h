#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "test/server/api_server.h"
#include "test/soak/dice.h"
#include "test/soak/ways.h"

namespace kubenatd::soak {

/// A Service of type LoadBalancer that traffic goes to, in both families, TCP and UDP; pod-a, pod-b and pod-c stand
/// behind it by turns, always one of them on the node. What takes a way away waits until nothing is under way on it.
///
/// Threading: one thread for all but the ways.
class Target {
 public:
  Target(test::ApiServer& server, const test::Lab& lab, unsigned number, Ways& ways);

  /// One change at random.
  void change(Dice& dice);
  /// Goes on with a change that waits for connections to end.
  void go_on();

 private:
  void put_service();
  void put_slices(const std::set<std::string>& pods);
  void change_pods(Dice& dice);
  /// Withdraws ways and does `then` when they are drained.
  void withdraw(std::vector<Way*> ways, std::function<void()> then);

  test::ApiServer& server_;
  std::string name_;
  unsigned number_;
  std::vector<Way*> inside_, outside_;  ///< by ClusterIP; by NodePort and load balancer
  std::shared_ptr<Behind> behind_ = std::make_shared<Behind>();
  // What is written now.
  bool there_ = true;
  bool balanced_ = true;
  bool external_local_ = false, internal_local_ = false, sticky_ = false, ranges_ = false, third_port_ = false;
  std::vector<Way*> draining_;
  std::function<void()> then_;
};

/// A Pod with host ports that traffic goes to, which comes and goes.
class HostPortPod {
 public:
  HostPortPod(test::ApiServer& server, const test::Lab& lab, const std::string& pod, int port, Ways& ways);
  void change();
  void go_on();

 private:
  void put();

  test::ApiServer& server_;
  std::string pod_;
  int port_;
  bool there_ = true;
  bool draining_ = false;
  std::vector<Way*> ways_;
};

/// A second address of the node, which comes and goes, and a Service whose NodePorts are asked there.
class SecondAddress {
 public:
  SecondAddress(test::ApiServer& server, const test::Lab& lab, Ways& ways);
  void change(Dice& dice);
  void go_on();
  /// Away for good.
  void end();

 private:
  void put(bool there);

  test::ApiServer& server_;
  const test::Lab& lab_;
  std::string zone_ = "zone-a";
  bool there_ = false;
  bool draining_ = false;
  std::vector<Way*> ways_;
};

}  // namespace kubenatd::soak
