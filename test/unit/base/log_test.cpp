#include "agent/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>

using namespace kubenatd::agent::base;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

namespace {

/// What `action` writes to standard error; less than a pipe holds.
std::string written_by(const std::function<void()>& action) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  const int saved = ::dup(STDERR_FILENO);
  REQUIRE(saved >= 0);
  REQUIRE(::dup2(pipe[1], STDERR_FILENO) == STDERR_FILENO);
  action();
  REQUIRE(::dup2(saved, STDERR_FILENO) == STDERR_FILENO);
  ::close(saved);
  ::close(pipe[1]);
  std::string text;
  std::array<char, 4096> block{};
  for (ssize_t size = 0; (size = ::read(pipe[0], block.data(), block.size())) > 0;) {
    text.append(block.data(), static_cast<std::size_t>(size));
  }
  ::close(pipe[0]);
  return text;
}

void write_all_levels() {
  log_error("broken");
  log_warning("odd");
  log_info("done");
  log_debug("detail");
}

}  // namespace

// The first that writes: what the others configure stays for the rest of the process.
TEST_CASE("before it is configured the log is structured and tells errors") {
  const std::string text = written_by(write_all_levels);
  CHECK_THAT(text, Contains("level=error msg=\"broken\"") && Contains("level=info") && !Contains("level=debug"));
}

TEST_CASE("fields are written as logfmt, quoted when needed") {
  CHECK(logfmt_text("rules written", {{"services", 3}, {"family", "IPv4"}, {"dry", false}}) ==
        R"(msg="rules written" services=3 family=IPv4 dry=false)");
  CHECK(logfmt_text("m", {{"cause", "no such file"}, {"empty", ""}, {"pair", "a=b"}}) ==
        R"(msg="m" cause="no such file" empty="" pair="a=b")");
  CHECK(logfmt_text("m", {{"path", "C:\\x"}, {"said", "\"hi\""}}) == R"(msg="m" path="C:\\x" said="\"hi\"")");
}

TEST_CASE("text from outside stays in its field and its line") {
  CHECK(logfmt_text("a\nlevel=error", {{"name", "x\ny=\"z\" \x1b[2J"}}) ==
        R"(msg="a\nlevel=error" name="x\ny=\"z\" \x1b[2J")");
  CHECK(terminal_text("a\nb \x1b[2J", {{"name", "x\r\n"}}) == R"(a\nb \x1b[2J  name="x\r\n")");
  CHECK(logfmt_text("m", {{"long", std::string(100'000, 'x')}}).size() < 4096);
  CHECK(logfmt_text(std::string(100'000, 'x'), {}).size() < 4096);
}

TEST_CASE("a message for a person comes first, its fields behind it") {
  CHECK(terminal_text("say \"hi\"", {}) == R"(say "hi")");
  CHECK(terminal_text("rules written", {{"services", 3}, {"family", "IPv4"}}) ==
        "rules written  services=3 family=IPv4");
}

TEST_CASE("without a terminal each line has time and level and no colour") {
  const std::string text = written_by([] {
    configure_logging(false, 0);
    log_warning("braces {} %v stay", {{"n", 1}});
  });
  CHECK_THAT(text, StartsWith("time=2"));
  CHECK_THAT(text, EndsWith("Z level=warning msg=\"braces {} %v stay\" n=1\n"));
}

TEST_CASE("verbosity decides which levels are written") {
  const auto [verbosity, lines] = GENERATE(table<int, std::string>({
      {-1, "error warning "},
      {0, "error warning info "},
      {1, "error warning info debug "},
      {9, "error warning info debug "},
  }));
  const std::string text = written_by([level = verbosity] {
    configure_logging(false, level);
    write_all_levels();
  });
  std::string levels;
  for (std::size_t at = 0; (at = text.find("level=", at)) != std::string::npos;) {
    at += 6;
    levels += text.substr(at, text.find(' ', at) - at) + " ";
  }
  CHECK(levels == lines);
}

TEST_CASE("a terminal gets colour unless the environment says no") {
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("NO_COLOR");
  const auto write = [] {
    configure_logging(true, 0);
    log_error("broken");
  };
  CHECK_THAT(written_by(write), Contains("\x1b[") && Contains("broken"));
  ::setenv("NO_COLOR", "1", 1);
  CHECK_THAT(written_by(write), EndsWith(" error: broken\n") && !Contains("\x1b["));
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "dumb", 1);
  CHECK_THAT(written_by(write), !Contains("\x1b["));
}
