#include "agent/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace kubenatd;
using namespace kubenatd::agent::base;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

namespace {

/// What `action` writes to standard error, or to another descriptor; less than a pipe holds.
std::string written_by(const std::function<void()>& action, int stream = STDERR_FILENO) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  const int saved = ::dup(stream);
  REQUIRE(saved >= 0);
  REQUIRE(::dup2(pipe[1], stream) == stream);
  action();
  REQUIRE(::dup2(saved, stream) == stream);
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
    configure_logging(LogForm::kLogfmt, 0);
    log_warning("braces {} %v stay", {{"n", 1}});
  });
  CHECK_THAT(text, StartsWith("time=2"));
  CHECK_THAT(text, EndsWith("Z level=warning msg=\"braces {} %v stay\" n=1\n"));
}

namespace {

/// The one line of JSON that `action` writes.
nlohmann::json json_written_by(const std::function<void()>& action) {
  const std::string text = written_by([&] {
    configure_logging(LogForm::kJson, 1);
    action();
  });
  REQUIRE_THAT(text, EndsWith("\n"));
  REQUIRE(text.find('\n') == text.size() - 1);
  return nlohmann::json::parse(text);
}

}  // namespace

// Lines of kube-proxy v1.36.3 --logging-format=json -v=4.
constexpr const char* kKlogInfo =
    R"({"ts":1795683770284.0159,"caller":"app/options.go:436","msg":"Wrote configuration","v":0,"file":"/tmp/kp.yaml"})";
constexpr const char* kKlogError =
    R"({"ts":1795683763956.1511,"logger":"UnhandledError","caller":"cache/reflector.go:227","msg":"Failed to watch",)"
    R"("reflector":"k8s.io/client-go@v0.36.3/tools/cache/reflector.go:343","type":"*v1.Node","err":"failed to list"})";

TEST_CASE("JSON lines have klog's fields") {
  const auto types = [](const nlohmann::json& line) {
    std::string text;
    for (const char* key : {"ts", "caller", "msg", "v", "err"})
      text += line.contains(key) ? std::string(key) + " " + line[key].type_name() + ", " : "";
    return text;
  };
  CHECK(types(json_written_by([] { log_info("m", {{"file", "f"}}); })) == types(nlohmann::json::parse(kKlogInfo)));
  CHECK(types(json_written_by([] { log_error("m", {{"error", "e"}}); })) == types(nlohmann::json::parse(kKlogError)));
  const auto before = std::chrono::system_clock::now();
  const nlohmann::json info = json_written_by([] {
    log_info("rules written",
             {{"services", 3}, {"family", "IPv4"}, {"dry", false}, {"error", "none"}, {"took_ms", 1.5}});
  });
  const std::chrono::duration<double, std::milli> least = before.time_since_epoch();
  REQUIRE(info.at("ts").is_number_float());
  CHECK(info["ts"].get<double>() >= least.count() - 1);
  CHECK(info["ts"].get<double>() < least.count() + 3'600'000);
  CHECK_THAT(info.at("caller").get<std::string>(), StartsWith("base/log_test.cpp:"));
  CHECK(info.at("msg") == "rules written");
  CHECK(info.at("v") == 0);
  CHECK(info.at("services") == 3);
  CHECK(info.at("family") == "IPv4");
  CHECK(info.at("dry") == false);
  CHECK(info.at("err") == "none");
  CHECK(info.at("took_ms") == 1.5);
  CHECK(info.size() == 9);

  const nlohmann::json error = json_written_by([] { log_error("sync failed", {{"error", "busy"}}); });
  CHECK_FALSE(error.contains("v"));
  CHECK(error.at("err") == "busy");
  CHECK(json_written_by([] { log_debug("detail"); }).at("v") == 4);
  const nlohmann::json warning = json_written_by([] { log_warning("odd"); });
  CHECK(warning.at("v") == 0);
  CHECK(warning.at("severity") == "warning");
}

TEST_CASE("an error as a value is fields in JSON and one text elsewhere") {
  const rules::Error error{"/etc/x", "read configuration", "No such file", 2};
  const nlohmann::json line = json_written_by([&] { log_error(error, {{"family", "IPv4"}}); });
  CHECK(line.at("msg") == "cannot read configuration");
  CHECK(line.at("object") == "/etc/x");
  CHECK(line.at("err") == "No such file");
  CHECK(line.at("errno") == 2);
  CHECK(line.at("family") == "IPv4");
  const std::string text = written_by([&] {
    configure_logging(LogForm::kLogfmt, 0);
    log_error(error, {{"family", "IPv4"}});
  });
  CHECK_THAT(text, EndsWith("level=error msg=\"/etc/x: read configuration: No such file\" family=IPv4\n"));
}

TEST_CASE("JSON is one line of UTF-8 whatever is logged") {
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  const std::vector<std::string> texts{every,
                                       "a\nb\r\t\"\\",
                                       "\xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80 \xe2\x82",
                                       "\u202e\u2028\u2029\U000e0001",
                                       std::string(100'000, '"'),
                                       std::string("a\0b", 3)};
  for (const std::string& hostile : texts) {
    const std::string text = written_by([&] {
      configure_logging(LogForm::kJson, 0);
      log_info(hostile, {{"name", hostile}});
    });
    REQUIRE(text.find('\n') == text.size() - 1);
    for (const char c : text.substr(0, text.size() - 1)) CHECK(static_cast<unsigned char>(c) >= 0x20);
    CHECK_THAT(text, !Contains("\u202e") && !Contains("\u2028"));
    const nlohmann::json line = nlohmann::json::parse(text);  // strict: refuses what is not UTF-8
    CHECK(line.size() == 5);
    if (hostile.size() < 10) CHECK(line["name"] == hostile);
    CHECK(text.size() < 10'000);
  }
}

TEST_CASE("all but errors goes to standard output when the streams are split") {
  const auto write = [] {
    configure_logging(LogForm::kJson, 0, true);
    log_info("to output");
    log_error("to error");
  };
  std::string output;
  const std::string error = written_by([&] { output = written_by(write, STDOUT_FILENO); });
  CHECK_THAT(error, Contains("to error") && !Contains("to output"));
  CHECK_THAT(output, Contains("to output") && !Contains("to error"));
  configure_logging(LogForm::kLogfmt, 0);
}

TEST_CASE("verbosity decides which levels are written") {
  const auto [verbosity, lines] = GENERATE(table<int, std::string>({
      {-1, "error warning "},
      {0, "error warning info "},
      {1, "error warning info debug "},
      {9, "error warning info debug "},
  }));
  const std::string text = written_by([level = verbosity] {
    configure_logging(LogForm::kLogfmt, level);
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
    configure_logging(LogForm::kTerminal, 0);
    log_error("broken");
  };
  CHECK_THAT(written_by(write), Contains("\x1b[") && Contains("broken"));
  ::setenv("NO_COLOR", "1", 1);
  CHECK_THAT(written_by(write), EndsWith(" error: broken\n") && !Contains("\x1b["));
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "dumb", 1);
  CHECK_THAT(written_by(write), !Contains("\x1b["));
}
