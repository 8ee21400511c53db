#include "agent/base/base64.h"

#include <openssl/evp.h>

namespace kubenatd::agent::base {

std::optional<std::string> decode_base64(std::string text) {
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
  if (text.size() % 4 != 0) return std::nullopt;
  std::string decoded(text.size() / 4 * 3, '\0');
  const int written =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (written < 0) return std::nullopt;
  const auto padding = static_cast<std::size_t>(text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0);
  decoded.resize(static_cast<std::size_t>(written) - padding);
  return decoded;
}

std::optional<std::string> decode_base64_as_go(const std::string& text) {
  std::string plain = text;
  std::erase_if(plain, [](char c) { return c == '\n' || c == '\r'; });
  // OpenSSL passes over more, and takes "=" in places where Go does not.
  const auto end = plain.find_last_not_of('=');
  const std::size_t digits = end == std::string::npos ? 0 : end + 1;
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (plain.size() % 4 != 0 || plain.size() - digits > 2 || (digits == 0 && !plain.empty()) ||
      plain.find_first_not_of(kDigits) < digits)
    return std::nullopt;
  return decode_base64(std::move(plain));
}

std::string encode_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a null
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(written));
  return text;
}

}  // namespace kubenatd::agent::base
