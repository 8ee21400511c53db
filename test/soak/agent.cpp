#include "test/soak/agent.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

namespace kubenatd::soak {

using nlohmann::json;

namespace {

constexpr const char* kEveryAddress = "[\"0.0.0.0/0\", \"::/0\"]";

/// The end of a log.
std::string tail(const std::string& log) {
  constexpr std::size_t kShown = 3000;
  return log.size() <= kShown ? log : "..." + log.substr(log.size() - kShown);
}

}  // namespace

Usage usage_of(pid_t pid) {
  Usage usage;
  std::istringstream status(test::read_file(fmt::format("/proc/{}/status", pid)));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) usage.rss_mb = std::stod(line.substr(6)) / 1000;
  std::error_code gone;
  for (std::filesystem::directory_iterator at(fmt::format("/proc/{}/fd", pid), gone), end; !gone && at != end;
       at.increment(gone))
    ++usage.descriptors;
  return usage;
}

Agent::~Agent() {
  keep_log();
}

Agent::Agent(Options options, const test::Lab& lab, const test::ApiServer& server, FaultLog& faults,
             Complaints& complaints)
    : options_(std::move(options)),
      lab_(lab),
      server_(server),
      faults_(faults),
      complaints_(complaints),
      mode_(options_.mode),
      node_port_addresses_(kEveryAddress) {
  const json kubeconfig = {
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"clusters",
       json::array({{{"name", "here"},
                     {"cluster",
                      {{"server", server.url()},
                       {"certificate-authority", files_.write("authority.pem", options_.authority).string()}}}}})},
      {"users", json::array({{{"name", "me"}, {"user", json::object()}}})},
      {"contexts", json::array({{{"name", "it"}, {"context", {{"cluster", "here"}, {"user", "me"}}}}})},
      {"current-context", "it"}};
  files_.write("kubeconfig.yaml", kubeconfig.dump());
  can_own_ = test::run({options_.program, "run", "--help"}).out.find("--own-table") != std::string::npos;
  write_configuration();
}

std::string Agent::configuration() const {
  return "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nhostnameOverride: node-1\n"
         "oomScoreAdj: 0\nconntrack: {maxPerCore: 0, min: 0}\nclusterCIDR: \"10.244.0.0/16,fd00:10:244::/56\"\n"
         "clientConnection: {kubeconfig: " +
         (files_.path() / "kubeconfig.yaml").string() + "}\nmode: " + mode_ + "\n" +
         (of_mode_.empty() ? "" : mode_ + ": " + of_mode_ + "\n") + "nodePortAddresses: " + node_port_addresses_ +
         "\n---\napiVersion: kubenatd.io/v1alpha1\nkind: KubenatdConfiguration\n" + own_;
}

void Agent::write_configuration() const {
  files_.write("config.yaml", configuration());
}

void Agent::configure(Dice& dice) {
  of_mode_ = fmt::format("{{masqueradeBit: {}, masqueradeAll: {}, minSyncPeriod: {}}}", 14 + dice.below(2),
                         dice.one_in(3), dice.one_in(3) ? "1s" : "0s");
  node_port_addresses_ = dice.one_in(2) ? kEveryAddress : "[192.168.77.0/24, \"fd00:77::/64\"]";
  static constexpr const char* kForms[] = {"linear", "tree", "auto"};
  own_ = fmt::format("dispatch: {}\nserviceMetrics: {}\nauditPeriod: {}\n", kForms[dice.below(3)],
                     dice.one_in(2) ? 0 : 20, dice.one_in(3) ? "2s" : "5m");
  write_configuration();
}

void Agent::set_mode(const std::string& mode) {
  mode_ = mode;
  write_configuration();
}

void Agent::configure_garbage() const {
  files_.write("config.yaml", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: [\n");
}

std::vector<std::string> Agent::command(const std::string& verb, const std::vector<std::string>& more) const {
  std::vector<std::string> all{options_.program, verb, "--config", (files_.path() / "config.yaml").string()};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

void Agent::start(Dice& dice) {
  test::ProcessOptions options;
  options.namespace_fd = lab_.node.fd();
  std::vector<std::string> more;
  if (can_own() && dice.one_in(2)) more = {"--own-table", "off"};
  child_.emplace(command("run", more), options);
  pid_ = child_->pid();
  heard_.reset();
  at_start_.reset();
  ++lives_;
}

void Agent::signal(int number) const {
  if (child_) child_->signal(number);
}

void Agent::keep_log() const {
  if (options_.logs.empty() || !child_) return;
  std::ofstream(fmt::format("{}/{}-{}.log", options_.logs, mode_, lives_)) << child_->err();
}

void Agent::end() {
  keep_log();
  pid_ = 0;
  child_.reset();
}

void Agent::kill() {
  if (!child_) return;
  signal(SIGKILL);
  static_cast<void>(child_->wait(std::chrono::seconds(10)));
  end();
}

void Agent::terminate() {
  if (!child_) return;
  signal(SIGTERM);
  const auto result = child_->wait(std::chrono::seconds(20));
  if (!result)
    complaints_.add("does not end 20 s after SIGTERM:\n" + tail(child_->err()));
  else if (!result->ok())
    complaints_.add(fmt::format("ended with status {} after SIGTERM:\n{}", result->status, tail(result->err)));
  end();
}

bool Agent::look(Dice& dice) {
  if (!child_) return false;
  if (child_->running()) {
    constexpr std::chrono::seconds kSettled{2};
    if (!hears()) {
      heard_.reset();
    } else if (!heard_) {
      heard_ = Clock::now();
    } else if (!at_start_ && Clock::now() - *heard_ > kSettled) {
      at_start_ = usage_of(pid_);
    }
    return false;
  }
  const auto result = child_->wait(std::chrono::milliseconds(0));
  if (may_end_)
    ++ends_;
  else
    complaints_.add(
        fmt::format("ended by itself with status {} (256 and more: a signal):\n{}", result->status, tail(result->err)));
  end();
  write_configuration();  // it may have been made unreadable for the one that ended
  start(dice);
  return true;
}

bool Agent::hears() const {
  return pid_ != 0 && server_.watches(test::kServicesPath) > 0 && server_.watches(test::kSlicesPath) > 0 &&
         server_.watches(test::kNodesPath) > 0 && server_.watches(test::kPodsPath) > 0;
}

test::ProcessResult Agent::diff(const std::string& manifests) const {
  return test::run_in(lab_.node, command("diff", {"--manifests", manifests}));
}

test::ProcessResult Agent::run_once(const test::Namespace& node, const std::string& manifests) const {
  return test::run_in(node, command("run", {"--once", "--manifests", manifests}));
}

}  // namespace kubenatd::soak
