#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/base/thread_annotations.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// What the last TLS handshake found wrong with the server, as the HTTP library cannot say it.
class TlsFindings {
 public:
  void note(std::string cause) KUBENATD_EXCLUDES(mutex_);
  [[nodiscard]] std::string take() KUBENATD_EXCLUDES(mutex_);

 private:
  base::Mutex mutex_;
  std::string cause_ KUBENATD_GUARDED_BY(mutex_);
};

/// Certificates and keys for connections to one server, parsed.
///
/// Purpose: the certificates that OpenSSL trusts and shows, kept in memory so that files may be replaced meanwhile.
/// Threading: const after parse(). Failure: parse() names the object and field. Cost: install() is cheap.
class TlsMaterial {
 public:
  struct Part {
    std::string pem;
    std::string name;  ///< for messages
  };

  /// Without an authority the system's are trusted; without a certificate none is shown.
  [[nodiscard]] static rules::Result<std::shared_ptr<const TlsMaterial>> parse(const std::string& object,
                                                                               const Part& authority,
                                                                               const Part& certificate,
                                                                               const Part& key);

  /// Whom to expect.
  struct Peer {
    std::string name;  ///< host name or address that the server's certificate must be for
    bool is_address = false;
    bool insecure = false;  ///< any certificate will do
  };
  /// Prepares a context for one connection: whom to trust, what to show, server name indication. Verification is by
  /// OpenSSL alone and done as Go does it: subject names do not count, an intermediate in the authorities is trusted.
  /// What it refuses, and what the server says when it refuses, is noted in `findings`.
  void install(SSL_CTX* context, Peer peer, std::shared_ptr<TlsFindings> findings) const;

 private:
  struct FreeCertificate {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  using Certificate = std::unique_ptr<X509, FreeCertificate>;

  TlsMaterial() = default;
  [[nodiscard]] static std::vector<Certificate> read_certificates(const std::string& pem);

  std::string authority_name_;  ///< for messages
  std::string certificate_name_;
  std::vector<Certificate> authorities_;
  std::vector<Certificate> chain_;  ///< own certificate first
  std::unique_ptr<EVP_PKEY, FreeKey> key_;
};

}  // namespace kubenatd::agent::api
