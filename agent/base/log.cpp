#include "agent/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::base {
namespace {

/// Longer values are cut: a line stays below what a pipe takes in one piece together with its neighbours.
constexpr std::size_t kLongestMessage = 2048;
constexpr std::size_t kLongestValue = 2048;

struct Log {
  std::shared_ptr<spdlog::logger> logger;
  bool terminal = false;
};

bool wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool is_dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return (no_colour == nullptr || *no_colour == '\0') && !is_dumb;
}

spdlog::level::level_enum level_of(int verbosity) {
  if (verbosity < 0) return spdlog::level::warn;
  return verbosity > 0 ? spdlog::level::debug : spdlog::level::info;
}

Log make_log(bool terminal, int verbosity) {
  spdlog::sink_ptr sink;
  if (terminal) {
    const auto mode = wants_colour() ? spdlog::color_mode::always : spdlog::color_mode::never;
    sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(mode);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>("kubenatd", std::move(sink));
  if (terminal) {
    logger->set_pattern("%H:%M:%S %^%l%$: %v");
  } else {
    logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  }
  logger->set_level(level_of(verbosity));
  logger->flush_on(spdlog::level::trace);
  // The default writes about its own failure to standard error, which is what has just failed.
  logger->set_error_handler([](const std::string&) {});
  return {std::move(logger), terminal};
}

Log& current_log() {
  static Log log = make_log(false, 0);
  return log;
}

void write(spdlog::level::level_enum level, std::string_view message, LogFields fields) {
  const Log& log = current_log();
  if (!log.logger->should_log(level)) return;
  const std::string text = log.terminal ? terminal_text(message, fields) : logfmt_text(message, fields);
  log.logger->log(level, spdlog::string_view_t(text.data(), text.size()));
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

}  // namespace

std::string logfmt_text(std::string_view message, LogFields fields) {
  std::string line = "msg=" + in_quotes(message, kLongestMessage);
  for (const LogField& field : fields) {
    line += ' ';
    append(line, field);
  }
  return line;
}

std::string terminal_text(std::string_view message, LogFields fields) {
  std::string line = one_line(message, kLongestMessage);
  for (const LogField& field : fields) {
    line += &field == fields.begin() ? "  " : " ";
    append(line, field);
  }
  return line;
}

void configure_logging(bool terminal, int verbosity) {
  current_log() = make_log(terminal, verbosity);
}

void set_log_verbosity(int verbosity) {
  current_log().logger->set_level(level_of(verbosity));
}

void log_error(std::string_view message, LogFields fields) {
  write(spdlog::level::err, message, fields);
}

void log_warning(std::string_view message, LogFields fields) {
  write(spdlog::level::warn, message, fields);
}

void log_info(std::string_view message, LogFields fields) {
  write(spdlog::level::info, message, fields);
}

void log_debug(std::string_view message, LogFields fields) {
  write(spdlog::level::debug, message, fields);
}

}  // namespace kubenatd::agent::base
