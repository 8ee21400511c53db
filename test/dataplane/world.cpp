#include "test/dataplane/world.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include "test/dataplane/fake_programs.h"
#include "test/support/fake/kernel.h"
#include "test/support/namespace.h"
#include "test/support/netns.h"
#include "test/support/process.h"

namespace kubenatd::agent::test {
namespace {

class RealWorld final : public World {
 public:
  dataplane::Kernel& kernel() override { return kernel_; }
  kubenatd::test::FakeKernel* fake() override { return nullptr; }
  std::string run(const std::vector<std::string>& words, const std::string& input) override {
    kubenatd::test::ProcessOptions options;
    options.input = input;
    const auto result = kubenatd::test::run(words, options);
    if (!result.ok()) {
      std::string command;
      for (const std::string& word : words) command += word + " ";
      throw std::runtime_error(command + ": " + result.describe());
    }
    return result.out;
  }

 private:
  dataplane::NetlinkKernel kernel_;
};

class FakeWorld final : public World {
 public:
  dataplane::Kernel& kernel() override { return fake_; }
  kubenatd::test::FakeKernel* fake() override { return &fake_; }
  std::string run(const std::vector<std::string>& words, const std::string& input) override {
    return programs_.run(words, input);
  }

 private:
  kubenatd::test::FakeKernel fake_;
  FakePrograms programs_{fake_};
};

std::unique_ptr<World>& current() {
  static std::unique_ptr<World> world;
  return world;
}

/// What the real world lacks here; none: nothing.
std::optional<std::string> missing() {
  if (const auto rights = kubenatd::test::namespaces_missing()) return "no rights: " + *rights;
  for (const char* program : {"iptables", "ip6tables", "iptables-save", "nft", "conntrack"})
    if (!kubenatd::test::run({program, "--version"}).ok()) return std::string(program) + " is not there";
  return std::nullopt;
}

bool is_real_asked_for() {
  const char* asked = std::getenv("KUBENATD_TEST_KERNEL");  // NOLINT(concurrency-mt-unsafe): before any thread
  return asked != nullptr && std::strcmp(asked, "real") == 0;
}

bool is_fake_asked_for() {
  const char* asked = std::getenv("KUBENATD_TEST_KERNEL");  // NOLINT(concurrency-mt-unsafe): before any thread
  return asked != nullptr && std::strcmp(asked, "fake") == 0;
}

}  // namespace

World& world() {
  if (!current()) throw std::logic_error("no world has been entered");
  return *current();
}

bool enter_fresh_world() {
  static const std::optional<std::string> real_lacks = is_fake_asked_for() ? "not asked for" : missing();
  current().reset();
  if (real_lacks && is_real_asked_for()) {
    std::printf("SKIPPED: %s\n", real_lacks->c_str());
    return false;
  }
  if (real_lacks) {
    current() = std::make_unique<FakeWorld>();
    return true;
  }
  if (!kubenatd::test::enter_fresh_namespace()) return false;
  current() = std::make_unique<RealWorld>();
  return true;
}

netlink::NfTables open_tables() {
  auto socket = world().kernel().connect();
  if (!socket) throw std::runtime_error(socket.error().to_string());
  return netlink::NfTables(std::move(*socket));
}

std::uint32_t generation() {
  const auto generation = open_tables().generation();
  if (!generation) throw std::runtime_error(generation.error().to_string());
  return *generation;
}

void refuse_recent() {
  if (auto* fake = world().fake()) fake->refuse_expression("match recent", EINVAL, kubenatd::test::kForever);
}

std::string must_run(const std::vector<std::string>& words, const std::string& input) {
  return world().run(words, input);
}

std::string must_run(const std::string& command) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < command.size();) {
    const std::size_t end = std::min(command.find(' ', at), command.size());
    words.push_back(command.substr(at, end - at));
    at = end + 1;
  }
  return must_run(words);
}

}  // namespace kubenatd::agent::test
