#pragma once

#include <string_view>

/// What names Kubernetes takes. Each function gives what is wrong with a name, empty when nothing is.
namespace kubenatd::agent::objects {

/// RFC 1123: lower-case letters, digits and "-", begins and ends with a letter or digit; at most 63.
[[nodiscard]] std::string_view wrong_dns_label(std::string_view name);
/// Such labels with "." between them; at most 253.
[[nodiscard]] std::string_view wrong_dns_subdomain(std::string_view name);
/// "*." and such a name, or the name alone.
[[nodiscard]] std::string_view wrong_host(std::string_view name);
/// RFC 6335: at most 15, lower-case letters, digits and single "-" inside, at least one letter.
[[nodiscard]] std::string_view wrong_port_name(std::string_view name);
/// "NAME" or "PREFIX/NAME", as the keys of labels and annotations are.
[[nodiscard]] std::string_view wrong_qualified_name(std::string_view name);
/// At most 63 letters, digits, "-", "_" and ".", begins and ends with a letter or digit; or empty.
[[nodiscard]] std::string_view wrong_label_value(std::string_view value);

[[nodiscard]] bool is_dns_label(std::string_view name);
[[nodiscard]] bool is_dns_subdomain(std::string_view name);

}  // namespace kubenatd::agent::objects
