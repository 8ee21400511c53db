#include "test/server/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <stdexcept>

namespace kubenatd::test {
namespace {

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

Key make_key() {
  return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

std::string to_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

KeyPair to_pem(X509* certificate, EVP_PKEY* key) {
  BIO* one = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(one, certificate);
  BIO* other = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(other, key, nullptr, nullptr, 0, nullptr, nullptr);
  return {to_text(one), to_text(other)};
}

void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
  if (extension == nullptr) throw std::runtime_error("extension " + value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate make(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                 const std::string& alternatives, Validity validity) {
  static std::atomic<long> serial{1};
  Certificate certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), validity.from);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), validity.to);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  X509* signer = issuer == nullptr ? certificate.get() : issuer;
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  extend(certificate.get(), signer, NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
  if (!alternatives.empty()) extend(certificate.get(), signer, NID_subject_alt_name, alternatives);
  X509_sign(certificate.get(), issuer_key, EVP_sha256());
  return certificate;
}

}  // namespace

Authority::Authority(const std::string& name) : key_(make_key()) {
  x509_ = make(name, key_.get(), nullptr, key_.get(), "", {});
  own_ = to_pem(x509_.get(), key_.get());
}

KeyPair Authority::issue(const std::string& name, const std::string& alternatives, Validity validity) const {
  const Key key = make_key();
  return to_pem(make(name, key.get(), x509_.get(), key_.get(), alternatives, validity).get(), key.get());
}

}  // namespace kubenatd::test
