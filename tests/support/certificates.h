// Authority: an authority for certificates of a test's own, which are made when the test runs.
//
//   const Authority authority("one");
//   const Certificate server = authority.issue({.addresses = {"127.0.0.1"}});
//
// Errors   std::runtime_error if OpenSSL fails.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "auth/openssl_ptr.h"

namespace ringfence::test {

// Both in PEM.
struct Certificate {
  std::string certificate, key;
};

class Authority {
  using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;

 public:
  struct Subject {
    std::vector<std::string> hosts{}, addresses{};
    long from_s = -3'600, until_s = 3'600;  // seconds from now
  };

  explicit Authority(const std::string& name) : name_(name), key_(EVP_EC_gen("P-256")) {
    certificate_ = make(name, key_.get(), {});
    add(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    add(certificate_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(certificate_.get());
  }
  std::string certificate() const { return pem(certificate_.get()); }

  Certificate issue(const Subject& subject) const {
    const PkeyPtr key(EVP_EC_gen("P-256"));
    const X509Ptr made = make("issued by " + name_, key.get(), subject);
    std::string names;
    for (const std::string& host : subject.hosts) names += (names.empty() ? "DNS:" : ",DNS:") + host;
    for (const std::string& address : subject.addresses) names += (names.empty() ? "IP:" : ",IP:") + address;
    if (!names.empty()) add(made.get(), NID_subject_alt_name, names);
    add(made.get(), NID_ext_key_usage, "serverAuth,clientAuth");
    sign(made.get());
    const BioPtr out(BIO_new(BIO_s_mem()));
    check(PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1, "key");
    return {pem(made.get()), text(out.get())};
  }

 private:
  static void check(bool good, const char* what) {
    if (!good) throw std::runtime_error(std::string("OpenSSL: ") + what);
  }
  static std::string text(BIO* bio) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio, &bytes);
    return {bytes, static_cast<std::size_t>(size)};
  }
  static std::string pem(X509* certificate) {
    const BioPtr out(BIO_new(BIO_s_mem()));
    check(PEM_write_bio_X509(out.get(), certificate) == 1, "certificate");
    return text(out.get());
  }

  X509Ptr make(const std::string& name, EVP_PKEY* key, const Subject& subject) const {
    static long serial = 0;
    check(key, "no key could be made");
    X509Ptr made(X509_new());
    check(made && X509_set_version(made.get(), 2) == 1, "X509_new");
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), subject.from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), subject.until_s);
    X509_NAME* const its = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(its, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                               0);
    check(X509_set_issuer_name(made.get(), certificate_ ? X509_get_subject_name(certificate_.get()) : its) == 1,
          "issuer");
    check(X509_set_pubkey(made.get(), key) == 1, "public key");
    return made;
  }
  static void add(X509* certificate, int what, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>> made(
        X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()));
    check(made && X509_add_ext(certificate, made.get(), -1) == 1, "extension");
  }
  void sign(X509* certificate) const { check(X509_sign(certificate, key_.get(), EVP_sha256()) > 0, "sign"); }

  const std::string name_;
  const PkeyPtr key_;
  X509Ptr certificate_;
};

}  // namespace ringfence::test
