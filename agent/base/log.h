#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/error.h"

/// The program's log: one line for each event, on standard error.
///
/// Purpose: lines for a person on a terminal ("12:00:01 info: rules written  services=3"), logfmt otherwise
/// (time=2025-01-02T03:04:05.678Z level=info msg="rules written" services=3), or JSON as Kubernetes' components write
/// it
/// ({"ts":1735787045678.123,"caller":"daemon/round_log.cpp:61","msg":"rules written","v":0,"services":3}). Text from
/// outside may be passed as it is: nothing in it can start a line, steer a terminal or look like another field, and
/// JSON is UTF-8 whatever it holds. Threading: any thread, lines do not mix. Failure: a log that cannot be written is
/// no reason to stop; such lines are lost. Cost: one write(2) a line; a line below the verbosity is not formatted. The
/// last lines stay in memory, 200 of them, at most 1 KiB each.
namespace kubenatd::agent::base {

/// A value that goes with a message. Keys are written by the program: letters, digits, "_" and "."; not those that
/// every JSON line has (ts, caller, msg, v). What failed for which reason has the key "error".
struct LogField {
  LogField(std::string_view field_key, std::string field_value) : key(field_key), value(std::move(field_value)) {}
  LogField(std::string_view field_key, std::string_view field_value) : key(field_key), value(field_value) {}
  LogField(std::string_view field_key, const char* field_value) : key(field_key), value(field_value) {}
  LogField(std::string_view field_key, std::integral auto number)
      : key(field_key), value(std::to_string(number)), is_text(false) {}
  /// With one digit behind the point.
  LogField(std::string_view field_key, double number);
  LogField(std::string_view field_key, bool truth) : key(field_key), value(truth ? "true" : "false"), is_text(false) {}

  std::string_view key;
  std::string value;
  bool is_text = true;  ///< else a number or a bool, which JSON has without quotes
};

using LogFields = std::initializer_list<LogField>;
using LogPlace = std::source_location;

enum class LogForm : std::uint8_t { kTerminal, kLogfmt, kJson };

/// The form of text: for a terminal when standard error is one, else logfmt.
[[nodiscard]] LogForm text_log_form();

/// Sets the form of the lines and which of them are written. Verbosity 0: all except debug; 1 and more: debug too;
/// below 0: only warnings and errors. Colours are left out when NO_COLOR is set or TERM is "dumb". With `split` all but
/// errors goes to standard output. May be called at any time; without it the log is logfmt with verbosity 0.
void configure_logging(LogForm form, int verbosity, bool split = false);

/// Sets only the verbosity. May be called at any time.
void set_log_verbosity(int verbosity);

void log_error(std::string_view message, LogFields fields = {}, LogPlace place = LogPlace::current());
/// The message is the error's text. JSON has its parts as fields: "object", "errno" and "err", the cause.
void log_error(const rules::Error& error, LogFields fields = {}, LogPlace place = LogPlace::current());
void log_warning(std::string_view message, LogFields fields = {}, LogPlace place = LogPlace::current());
void log_info(std::string_view message, LogFields fields = {}, LogPlace place = LogPlace::current());
void log_debug(std::string_view message, LogFields fields = {}, LogPlace place = LogPlace::current());

/// The last lines of this process, oldest first, as logfmt whatever the form is.
[[nodiscard]] std::vector<std::string> last_log_lines();

/// The part of a line behind time and level, in the forms of text.
[[nodiscard]] std::string logfmt_text(std::string_view message, LogFields fields);
[[nodiscard]] std::string terminal_text(std::string_view message, LogFields fields);

}  // namespace kubenatd::agent::base
