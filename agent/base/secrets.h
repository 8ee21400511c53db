#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kubenatd::agent::base {

/// What stands in a text where a secret was.
inline constexpr std::string_view kLeftOut = "[left out]";

/// The text without what looks like a secret: name and password in a URL, PEM (also in base64), Authorization values,
/// JSON web tokens, bootstrap tokens of Kubernetes, values behind a name such as "token" or "password", and long words
/// of mixed letters and digits. Pure. Cost: linear. A secret that looks like any other word stays: see Secrets.
[[nodiscard]] std::string without_secret_forms(std::string_view text);

/// Secrets that are known, to take them out of texts.
///
/// Purpose: texts that leave the machine for people. Threading: none. Failure: none. Cost: without() looks for each
/// secret in the whole text.
class Secrets {
 public:
  /// Shorter ones are parts of common words.
  static constexpr std::size_t kShortest = 4;

  /// Each line of it, what base64 makes of the whole, and how it stands in a URL, count as well.
  void add(std::string_view secret);
  /// Every word of a text that could not be read: anything in it may be a secret.
  void add_words(std::string_view text);
  /// Name and password of a URL, if it has them.
  void add_user_of(std::string_view url);

  [[nodiscard]] bool empty() const { return known_.empty(); }
  /// The text without them, and without what looks like a secret.
  [[nodiscard]] std::string without(std::string_view text) const;

 private:
  void add_one(std::string_view secret);

  std::vector<std::string> known_;
};

}  // namespace kubenatd::agent::base
