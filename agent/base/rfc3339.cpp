#include "agent/base/rfc3339.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace kubenatd::agent::base {
namespace {

/// Reads from the front of a text; once something was not as expected, nothing is any more.
class Reader {
 public:
  explicit Reader(std::string_view text) : left_(text) {}

  int number(std::size_t digits) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) value = value * 10 + digit();
    return value;
  }
  int digit() {
    if (!next_is_digit()) {
      good_ = false;
      return 0;
    }
    const int value = left_.front() - '0';
    left_.remove_prefix(1);
    return value;
  }
  [[nodiscard]] bool next_is_digit() const { return !left_.empty() && left_.front() >= '0' && left_.front() <= '9'; }
  /// One of these characters.
  char one_of(std::string_view wanted) {
    if (left_.empty() || wanted.find(left_.front()) == std::string_view::npos) {
      good_ = false;
      return '\0';
    }
    const char found = left_.front();
    left_.remove_prefix(1);
    return found;
  }
  [[nodiscard]] bool next_is(char wanted) const { return !left_.empty() && left_.front() == wanted; }
  [[nodiscard]] bool done() const { return good_ && left_.empty(); }

 private:
  std::string_view left_;
  bool good_ = true;
};

std::chrono::nanoseconds read_fraction(Reader& reader) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t nanoseconds = reader.digit() * (kSecond / 10);
  for (std::int64_t unit = kSecond / 100; reader.next_is_digit(); unit /= 10) nanoseconds += reader.digit() * unit;
  return std::chrono::nanoseconds(nanoseconds);
}

}  // namespace

std::string to_rfc3339(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  std::string text =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(seconds.time_since_epoch().count())));
  if (const auto fraction = (time - seconds).count(); fraction != 0) {
    text += fmt::format(".{:09}", fraction);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "Z";
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  namespace chrono = std::chrono;
  Reader reader(text);
  const chrono::year year(reader.number(4));
  reader.one_of("-");
  const chrono::month month(static_cast<unsigned>(reader.number(2)));
  reader.one_of("-");
  const chrono::day day(static_cast<unsigned>(reader.number(2)));
  reader.one_of("Tt");
  const int hour = reader.number(2);
  reader.one_of(":");
  const int minute = reader.number(2);
  reader.one_of(":");
  const int second = reader.number(2);
  chrono::nanoseconds fraction{};
  if (reader.next_is('.')) {
    reader.one_of(".");
    fraction = read_fraction(reader);
  }
  chrono::minutes offset{};
  if (const char sign = reader.one_of("Zz+-"); sign == '+' || sign == '-') {
    const int hours = reader.number(2);
    reader.one_of(":");
    const int minutes = reader.number(2);
    if (hours > 23 || minutes > 59) return std::nullopt;
    offset = chrono::minutes((sign == '-' ? -1 : 1) * (hours * 60 + minutes));
  }
  constexpr int kFirstYear = 1970;
  constexpr int kLastYear = 2261;
  const chrono::year_month_day date(year, month, day);
  // 60: a leap second.
  if (!reader.done() || !date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  if (year < chrono::year(kFirstYear) || year > chrono::year(kLastYear)) return std::nullopt;
  return WallTime(chrono::sys_days(date)) + chrono::hours(hour) + chrono::minutes(minute) + chrono::seconds(second) +
         fraction - offset;
}

}  // namespace kubenatd::agent::base
