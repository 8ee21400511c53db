#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Texts of the command line as Go 1.26 and spf13/pflag read them. An error is what is wrong with the text.
namespace kubenatd::agent::config {

/// strconv.ParseBool.
[[nodiscard]] std::optional<bool> parse_go_bool(std::string_view text);

/// strconv.ParseInt with base 0: "-5", "0x10", "0b101", "0o17" and "017", "1_000"; `bits` is 32 or 64.
[[nodiscard]] std::expected<std::int64_t, std::string> parse_go_int(std::string_view text, int bits);

/// strconv.ParseUint with base 10 and 31 bits: a klog verbosity.
[[nodiscard]] std::expected<int, std::string> parse_go_verbosity(std::string_view text);

/// strconv.ParseFloat with 32 bits, as the number that Go would print for it. Refuses infinity and NaN, which cannot be
/// written to a configuration.
[[nodiscard]] std::expected<double, std::string> parse_go_float32(std::string_view text);

/// The fields of encoding/csv's first record, which is how pflag's StringSlice reads a list: "a,b", "\"a,b\",c"; an
/// empty text is an empty list. Nothing is trimmed.
[[nodiscard]] std::expected<std::vector<std::string>, std::string> parse_csv_record(std::string_view text);

/// Whether a quantity is zero; none: the text is no quantity, that is a decimal number with a suffix or an exponent
/// (k8s.io/apimachinery v0.36 pkg/api/resource).
[[nodiscard]] std::optional<bool> is_zero_quantity(std::string_view text);

}  // namespace kubenatd::agent::config
