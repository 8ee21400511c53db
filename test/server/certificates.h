#pragma once

#include <openssl/x509.h>

#include <memory>
#include <string>

/// Certificates made on the spot.
namespace kubenatd::test {

struct KeyPair {
  std::string certificate;  ///< PEM
  std::string key;          ///< PEM
};

/// Seconds from now between which a certificate holds.
struct Validity {
  long from = -3600;
  long to = 86'400;
};

/// An authority that signs certificates.
class Authority {
 public:
  explicit Authority(const std::string& name);
  [[nodiscard]] const std::string& certificate() const { return own_.certificate; }
  /// `alternatives` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1".
  [[nodiscard]] KeyPair issue(const std::string& name, const std::string& alternatives, Validity validity = {}) const;

 private:
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> x509_;
  KeyPair own_;
};

}  // namespace kubenatd::test
