#include "agent/base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "agent/base/printable.h"
#include "agent/base/thread_annotations.h"

namespace kubenatd::agent::base {
namespace {

/// Longer values are cut: a line stays below what a pipe takes in one piece together with its neighbours.
constexpr std::size_t kLongestMessage = 2048;
constexpr std::size_t kLongestValue = 2048;

/// klog's verbosity of what is told only to those who look for faults.
constexpr int kDebugVerbosity = 4;

using Level = spdlog::level::level_enum;

struct Log {
  std::shared_ptr<spdlog::logger> errors;
  std::shared_ptr<spdlog::logger> others;  ///< the same, unless the streams are split
  LogForm form = LogForm::kLogfmt;
};

bool wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool is_dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return (no_colour == nullptr || *no_colour == '\0') && !is_dumb;
}

Level level_of(int verbosity) {
  if (verbosity < 0) return spdlog::level::warn;
  return verbosity > 0 ? spdlog::level::debug : spdlog::level::info;
}

/// A sink that writes to standard output or error.
template <class Out, class Error, class... Arguments>
spdlog::sink_ptr make_sink(bool is_output, Arguments... arguments) {
  if (is_output) return std::make_shared<Out>(arguments...);
  return std::make_shared<Error>(arguments...);
}

std::shared_ptr<spdlog::logger> make_logger(LogForm form, int verbosity, bool is_output) {
  spdlog::sink_ptr sink;
  if (form == LogForm::kTerminal) {
    const auto mode = wants_colour() ? spdlog::color_mode::always : spdlog::color_mode::never;
    sink = make_sink<spdlog::sinks::ansicolor_stdout_sink_mt, spdlog::sinks::ansicolor_stderr_sink_mt>(is_output, mode);
  } else {
    sink = make_sink<spdlog::sinks::stdout_sink_mt, spdlog::sinks::stderr_sink_mt>(is_output);
  }
  auto logger = std::make_shared<spdlog::logger>("kubenatd", std::move(sink));
  switch (form) {
    case LogForm::kTerminal: logger->set_pattern("%H:%M:%S %^%l%$: %v"); break;
    case LogForm::kLogfmt:
      logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
      break;
    case LogForm::kJson: logger->set_pattern("%v"); break;
  }
  logger->set_level(level_of(verbosity));
  logger->flush_on(spdlog::level::trace);
  // The default writes about its own failure to standard error, which is what has just failed.
  logger->set_error_handler([](const std::string&) {});
  return logger;
}

Log make_log(LogForm form, int verbosity, bool split) {
  auto errors = make_logger(form, verbosity, false);
  auto others = split ? make_logger(form, verbosity, true) : errors;
  return {std::move(errors), std::move(others), form};
}

/// The log in force. A line that is being written keeps the one that it began with.
class CurrentLog {
 public:
  [[nodiscard]] Log get() const {
    const MutexLock lock(mutex_);
    return log_;
  }
  void set(Log log) {
    const MutexLock lock(mutex_);
    log_ = std::move(log);
  }

 private:
  mutable Mutex mutex_;
  Log log_ KUBENATD_GUARDED_BY(mutex_) = make_log(LogForm::kLogfmt, 0, false);
};

CurrentLog& current_log() {
  static CurrentLog log;
  return log;
}

/// The last lines.
class LastLines {
 public:
  void add(std::string line) {
    const MutexLock lock(mutex_);
    if (lines_.size() >= kMost) lines_.pop_front();
    lines_.push_back(std::move(line));
  }
  [[nodiscard]] std::vector<std::string> get() const {
    const MutexLock lock(mutex_);
    return {lines_.begin(), lines_.end()};
  }

 private:
  static constexpr std::size_t kMost = 200;

  mutable Mutex mutex_;
  std::deque<std::string> lines_ KUBENATD_GUARDED_BY(mutex_);
};

LastLines& last_lines() {
  static LastLines lines;
  return lines;
}

/// True when logfmt needs no quotes around the value.
bool is_plain(std::string_view value) {
  return !value.empty() && value.size() <= kLongestValue &&
         std::ranges::all_of(value, [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '=' && c != '\\'; });
}

void append(std::string& line, const LogField& field) {
  line += field.key;
  line += '=';
  line += is_plain(field.value) ? field.value : in_quotes(field.value, kLongestValue);
}

std::string logfmt(std::string_view message, std::span<const LogField> fields) {
  std::string line = "msg=" + in_quotes(message, kLongestMessage);
  for (const LogField& field : fields) {
    line += ' ';
    append(line, field);
  }
  return line;
}

std::string for_terminal(std::string_view message, std::span<const LogField> fields) {
  std::string line = one_line(message, kLongestMessage);
  for (const LogField& field : fields) {
    line += &field == fields.data() ? "  " : " ";
    append(line, field);
  }
  return line;
}

/// "daemon/run_loop.cpp:84": the file and the folder it is in, as klog has them.
std::string short_place(const LogPlace& place) {
  std::string_view file = place.file_name();
  const std::size_t name = file.rfind('/');
  const std::size_t folder = name == std::string_view::npos || name == 0 ? name : file.rfind('/', name - 1);
  if (folder != std::string_view::npos) file.remove_prefix(folder + 1);
  return fmt::format("{}:{}", file, place.line());
}

/// As component-base's JSON logger writes a line (k8s.io/component-base v0.36 logs/json: zap with zapr's names). That
/// has no levels: an error is a line without "v". A warning, which klog's JSON does not tell from other lines, has a
/// field of its own.
std::string json_line(Level level, std::string_view message, std::span<const LogField> fields, const LogPlace& place) {
  using std::chrono::microseconds;
  const auto now = std::chrono::duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch());
  std::string line =
      fmt::format(R"({{"ts":{}.{:03},"caller":"{}","msg":"{}")", now.count() / 1000, now.count() % 1000,
                  json_escaped(short_place(place), kLongestValue), json_escaped(message, kLongestMessage));
  if (level != spdlog::level::err)
    line += level == spdlog::level::debug ? fmt::format(R"(,"v":{})", kDebugVerbosity) : R"(,"v":0)";
  if (level == spdlog::level::warn) line += R"(,"severity":"warning")";
  for (const LogField& field : fields) {
    const std::string_view key = field.key == "error" ? "err" : field.key;
    line += fmt::format(R"(,"{}":)", json_escaped(key, kLongestValue));
    line += field.is_text ? '"' + json_escaped(field.value, kLongestValue) + '"' : field.value;
  }
  return line + '}';
}

/// A line as it is kept.
std::string kept_line(Level level, std::string_view logfmt_line) {
  constexpr std::size_t kLongest = 1024;
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto name = spdlog::level::to_string_view(level);
  std::string line =
      fmt::format("time={:%FT%T}Z level={} {}", now, std::string_view(name.data(), name.size()), logfmt_line);
  if (line.size() <= kLongest) return line;
  // Between words: half of one could not be told for what it is.
  line.resize(line.rfind(' ', kLongest));
  return line + " ...";
}

void write(Level level, std::string_view message, std::span<const LogField> fields, const LogPlace& place) {
  const Log log = current_log().get();
  spdlog::logger& logger = level == spdlog::level::err ? *log.errors : *log.others;
  if (!logger.should_log(level)) return;
  std::string text;
  switch (log.form) {
    case LogForm::kTerminal: text = for_terminal(message, fields); break;
    case LogForm::kLogfmt: text = logfmt(message, fields); break;
    case LogForm::kJson: text = json_line(level, message, fields, place); break;
  }
  last_lines().add(kept_line(level, log.form == LogForm::kLogfmt ? text : logfmt(message, fields)));
  logger.log(level, spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace

LogField::LogField(std::string_view field_key, double number)
    : key(field_key),
      value(std::isfinite(number) ? fmt::format("{:.1f}", number) : "null"),  // JSON has no other word for it
      is_text(false) {}

LogForm text_log_form() {
  return ::isatty(STDERR_FILENO) == 1 ? LogForm::kTerminal : LogForm::kLogfmt;
}

std::vector<std::string> last_log_lines() {
  return last_lines().get();
}

std::string logfmt_text(std::string_view message, LogFields fields) {
  return logfmt(message, fields);
}

std::string terminal_text(std::string_view message, LogFields fields) {
  return for_terminal(message, fields);
}

void configure_logging(LogForm form, int verbosity, bool split) {
  current_log().set(make_log(form, verbosity, split));
}

void set_log_verbosity(int verbosity) {
  const Log log = current_log().get();
  log.errors->set_level(level_of(verbosity));
  log.others->set_level(level_of(verbosity));
}

void log_error(std::string_view message, LogFields fields, LogPlace place) {
  write(spdlog::level::err, message, fields, place);
}

void log_error(const rules::Error& error, LogFields fields, LogPlace place) {
  if (current_log().get().form != LogForm::kJson) {
    write(spdlog::level::err, error.to_string(), fields, place);
    return;
  }
  std::vector<LogField> all{{"object", error.object}};
  std::ranges::copy(fields, std::back_inserter(all));
  if (error.code != 0) all.emplace_back("errno", error.code);
  all.emplace_back("error", error.cause);
  write(spdlog::level::err, "cannot " + error.operation, all, place);
}

void log_warning(std::string_view message, LogFields fields, LogPlace place) {
  write(spdlog::level::warn, message, fields, place);
}

void log_info(std::string_view message, LogFields fields, LogPlace place) {
  write(spdlog::level::info, message, fields, place);
}

void log_debug(std::string_view message, LogFields fields, LogPlace place) {
  write(spdlog::level::debug, message, fields, place);
}

}  // namespace kubenatd::agent::base
