#include "agent/api/tls_material.h"

#include <arpa/inet.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <ctime>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

/// What a context knows of its connection; freed with the context.
struct Session {
  TlsMaterial::Peer peer;
  std::shared_ptr<TlsFindings> findings;
  std::string authorities;     ///< where those that are trusted are said
  std::string hint_for_alert;  ///< what the server may have wanted
};

/// The file of the authorities that this system trusts.
///
/// cpprestsdk 2.10 has OpenSSL read and parse it for each connection, before it asks what is wanted: some 50 ms of a
/// processor, six times at the start of the agent, for certificates that mostly do not count. So OpenSSL is told of an
/// empty file, and the right one is read where it is needed. Its folder of authorities is as it was: nothing is read in
/// it before a certificate asks for it. The environment is changed before main(), when no other thread can be reading
/// it.
class SystemAuthorities {
 public:
  SystemAuthorities() {
    const char* name = X509_get_default_cert_file_env();
    const char* said = ::secure_getenv(name);  // as OpenSSL reads it
    file_ = said == nullptr ? X509_get_default_cert_file() : said;
    ::setenv(name, "/dev/null", 1);
  }
  void add_to(X509_STORE* store) const {
    (void)X509_STORE_load_file(store, file_.c_str());
    ERR_clear_error();  // without it, there is still the folder
  }

 private:
  std::string file_;
};
const SystemAuthorities kSystemAuthorities;

void free_session(void*, void* session, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Session*>(session);
}

int session_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_session);
  return index;
}

std::string last_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown error" : reason;
}

/// The library's callback decides as OpenSSL itself does; it is put in place of the HTTP library's.
int keep_decision(int good, X509_STORE_CTX*) {
  return good;
}

std::string text_of(const ASN1_TIME* time) {
  tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return "?";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fields);
}

std::string now_text() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

std::string text_of(const X509_NAME* name) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) < 0) return "?";
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return base::one_line({text, static_cast<std::size_t>(size)}, 200);
}

/// "DNS:kubernetes, IP:10.96.0.1": whom a certificate is for.
std::string names_in(const X509* certificate) {
  constexpr std::size_t kMost = 20;
  std::string names;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all) && i < static_cast<int>(kMost); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    std::string one;
    if (name->type == GEN_DNS) {
      one = "DNS:" + base::one_line({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                                     static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))},
                                    253);
    } else if (name->type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "?";
      ::inet_ntop(ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6,
                  ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof(text));
      one = std::string("IP:") + text;
    } else {
      continue;
    }
    names += (names.empty() ? "" : ", ") + one;
  }
  GENERAL_NAMES_free(all);
  return names.empty() ? "nobody (it has no subject alternative names)" : names;
}

/// What to do about a certificate that is refused.
std::string advice(X509_STORE_CTX* context, const Session& session) {
  const X509* certificate = X509_STORE_CTX_get_current_cert(context);
  if (certificate == nullptr) return {};
  switch (X509_STORE_CTX_get_error(context)) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fmt::format("; it was good until {}, and this node's clock says {}",
                         text_of(X509_get0_notAfter(certificate)), now_text());
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format("; it is good from {} on, and this node's clock says {}: is the clock right?",
                         text_of(X509_get0_notBefore(certificate)), now_text());
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return fmt::format("; its authority is {}, which is not among those of {}",
                         text_of(X509_get_issuer_name(certificate)), session.authorities);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fmt::format("; it is for {}: use one of them as the server's address or as tls-server-name",
                         names_in(X509_STORE_CTX_get0_cert(context)));
    default: return {};
  }
}

int verify(X509_STORE_CTX* context, void* argument) {
  const auto& session = *static_cast<const Session*>(argument);
  X509_STORE_CTX_set_verify_cb(context, keep_decision);
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  X509_VERIFY_PARAM_set_flags(wanted, X509_V_FLAG_PARTIAL_CHAIN);
  const bool set = session.peer.is_address
                       ? X509_VERIFY_PARAM_set1_ip_asc(wanted, session.peer.name.c_str()) == 1
                       : X509_VERIFY_PARAM_set1_host(wanted, session.peer.name.c_str(), session.peer.name.size()) == 1;
  const int good = set ? X509_verify_cert(context) : 0;
  if (good <= 0) {
    const int code = X509_STORE_CTX_get_error(context);
    session.findings->note(fmt::format("the server's certificate for {} is refused: {}{}",
                                       base::one_line(session.peer.name, 253), X509_verify_cert_error_string(code),
                                       advice(context, session)));
  }
  return good > 0 ? 1 : 0;
}

/// Runs at every step of a handshake, on the connection's own thread.
void watch_handshake(const SSL* connection, int where, int detail) {
  const auto* session = static_cast<const Session*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), session_index()));
  if (session == nullptr) return;
  constexpr int kReadAlert = SSL_CB_READ_ALERT;
  constexpr int kCloseNotify = 0;
  if ((where & kReadAlert) == kReadAlert && (detail & 0xff) != kCloseNotify) {
    session->findings->note(fmt::format("the server ends the TLS connection: {}{}", SSL_alert_desc_string_long(detail),
                                        session->hint_for_alert));
    return;
  }
  // Before the first message is made.
  if ((where & SSL_CB_HANDSHAKE_START) == 0 || SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name) != nullptr)
    return;
  if (!session->peer.is_address) SSL_set_tlsext_host_name(const_cast<SSL*>(connection), session->peer.name.c_str());
}

}  // namespace

void TlsFindings::note(std::string cause) {
  const base::MutexLock lock(mutex_);
  if (cause_.empty()) cause_ = std::move(cause);  // what comes after the first follows from it
}

std::string TlsFindings::take() {
  const base::MutexLock lock(mutex_);
  return std::exchange(cause_, {});
}

std::vector<TlsMaterial::Certificate> TlsMaterial::read_certificates(const std::string& pem) {
  std::vector<Certificate> certificates;
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                      &BIO_free);
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) certificates.emplace_back(one);
  ERR_clear_error();  // the end of the text is an error to OpenSSL
  return certificates;
}

rules::Result<std::shared_ptr<const TlsMaterial>> TlsMaterial::parse(const std::string& object, const Part& authority,
                                                                     const Part& certificate, const Part& key) {
  std::shared_ptr<TlsMaterial> material(new TlsMaterial());
  material->authority_name_ = authority.name;
  material->certificate_name_ = base::one_line(certificate.name, 4096);
  if (!authority.pem.empty()) {
    material->authorities_ = read_certificates(authority.pem);
    if (material->authorities_.empty()) return rules::fail(object, authority.name, "holds no certificate in PEM form");
  }
  if (certificate.pem.empty() && key.pem.empty()) return material;

  material->chain_ = read_certificates(certificate.pem);
  if (material->chain_.empty()) return rules::fail(object, certificate.name, "holds no certificate in PEM form");
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(key.pem.data(), static_cast<int>(key.pem.size())),
                                                      &BIO_free);
  // No passphrase, and none is asked for on a terminal.
  char nothing[] = "";
  material->key_.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nothing));
  if (!material->key_) return rules::fail(object, key.name, "holds no private key in PEM form: " + last_error());
  if (X509_check_private_key(material->chain_.front().get(), material->key_.get()) != 1) {
    ERR_clear_error();
    return rules::fail(object, key.name, fmt::format("does not belong to the certificate in {}", certificate.name));
  }
  return material;
}

void TlsMaterial::install(SSL_CTX* context, Peer peer, std::shared_ptr<TlsFindings> findings) const {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (!authorities_.empty()) {
    X509_STORE* store = X509_STORE_new();
    for (const Certificate& authority : authorities_) X509_STORE_add_cert(store, authority.get());
    SSL_CTX_set_cert_store(context, store);  // takes it over; the system's authorities go
  } else if (!peer.insecure) {
    kSystemAuthorities.add_to(SSL_CTX_get_cert_store(context));
  }
  if (!chain_.empty()) {
    SSL_CTX_use_certificate(context, chain_.front().get());
    for (std::size_t i = 1; i < chain_.size(); ++i) SSL_CTX_add1_chain_cert(context, chain_[i].get());
    SSL_CTX_use_PrivateKey(context, key_.get());
  }
  auto session = std::make_unique<Session>(
      Session{std::move(peer), std::move(findings),
              authorities_.empty() ? "this system" : base::one_line(authority_name_, 4096),
              chain_.empty() ? ": no client certificate was shown"
                             : fmt::format("; the client certificate was that of {}", certificate_name_)});
  if (!session->peer.insecure) SSL_CTX_set_cert_verify_callback(context, verify, session.get());
  SSL_CTX_set_info_callback(context, watch_handshake);
  SSL_CTX_set_ex_data(context, session_index(), session.release());
}

}  // namespace kubenatd::agent::api
