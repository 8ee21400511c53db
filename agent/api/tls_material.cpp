#include "agent/api/tls_material.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

/// What a context knows of its connection; freed with the context.
struct Session {
  TlsMaterial::Peer peer;
  std::shared_ptr<TlsFindings> findings;
};

/// The socket of a connection; freed with the connection.
struct AttachedSocket {
  void* socket;
  int (*descriptor_of)(void* socket);
};

void free_session(void*, void* session, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Session*>(session);
}

void free_socket(void*, void* socket, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<AttachedSocket*>(socket);
}

int session_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_session);
  return index;
}

int socket_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_socket);
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
    session.findings->note(fmt::format("the server's certificate for {} is refused: {}",
                                       base::one_line(session.peer.name, 253), X509_verify_cert_error_string(code)));
  }
  return good > 0 ? 1 : 0;
}

/// A connection whose other side vanished without a word is found out within half a minute, not when the watch ends:
/// probes after 15 s of silence, three of them 5 s apart (client-go: HTTP/2 pings after 30 s, 15 s for the answer).
void enable_probes(int descriptor) {
  const auto set = [descriptor](int level, int option, int value) {
    ::setsockopt(descriptor, level, option, &value, sizeof(value));  // without it the watch's own end still stands
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

/// Runs before the first message is made, on the connection's own thread, where its socket is alive.
void prepare_handshake(const SSL* connection, int where, int) {
  if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
  auto* ssl = const_cast<SSL*>(connection);
  if (auto* attached = static_cast<AttachedSocket*>(SSL_get_ex_data(ssl, socket_index()))) {
    enable_probes(attached->descriptor_of(attached->socket));
    SSL_set_ex_data(ssl, socket_index(), nullptr);  // handshake messages come later, too
    delete attached;
  }
  if (SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != nullptr) return;
  const auto* session = static_cast<const Session*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), session_index()));
  if (session != nullptr && !session->peer.is_address) SSL_set_tlsext_host_name(ssl, session->peer.name.c_str());
}

}  // namespace

void TlsFindings::note(std::string cause) {
  const base::MutexLock lock(mutex_);
  cause_ = std::move(cause);
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
  }
  if (!chain_.empty()) {
    SSL_CTX_use_certificate(context, chain_.front().get());
    for (std::size_t i = 1; i < chain_.size(); ++i) SSL_CTX_add1_chain_cert(context, chain_[i].get());
    SSL_CTX_use_PrivateKey(context, key_.get());
  }
  auto session = std::make_unique<Session>(Session{std::move(peer), std::move(findings)});
  if (!session->peer.insecure) SSL_CTX_set_cert_verify_callback(context, verify, session.get());
  SSL_CTX_set_info_callback(context, prepare_handshake);
  SSL_CTX_set_ex_data(context, session_index(), session.release());
}

void TlsMaterial::attach_socket(SSL* connection, void* socket, int (*descriptor_of)(void* socket)) {
  if (SSL_is_init_finished(connection) == 1 || SSL_get_ex_data(connection, socket_index()) != nullptr) return;
  SSL_set_ex_data(connection, socket_index(), new AttachedSocket{socket, descriptor_of});
}

}  // namespace kubenatd::agent::api
