#include "auth/openssl_ptr.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace ringfence {
namespace {

struct ClearErrors {
  ~ClearErrors() { ERR_clear_error(); }
};
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;

BioPtr bio_of(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

BnPtr number(std::string_view big_endian) {
  return BnPtr(BN_bin2bn(reinterpret_cast<const unsigned char*>(big_endian.data()), static_cast<int>(big_endian.size()),
                         nullptr));
}

PkeyPtr build(const char* type, OSSL_PARAM_BLD* builder) {
  const ParamPtr params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  PkeyPtr owned(key);
  const PkeyCtxPtr check(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return check && EVP_PKEY_public_check(check.get()) == 1 ? std::move(owned) : nullptr;
}

}  // namespace

PkeyPtr read_public_key(std::string_view pem) {
  const ClearErrors clear;
  BioPtr bio = bio_of(pem);
  if (!bio) return nullptr;
  if (PkeyPtr key{PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr)}) return key;
  bio = bio_of(pem);
  const X509Ptr certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  return PkeyPtr(certificate ? X509_get_pubkey(certificate.get()) : nullptr);
}

std::string write_public_key(EVP_PKEY* key) {
  const ClearErrors clear;
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), key) != 1) return {};
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(bytes)};
}

bool on_p256(EVP_PKEY* ec_key) {
  const ClearErrors clear;
  char name[64] = {};
  std::size_t bytes = 0;
  return EVP_PKEY_get_group_name(ec_key, name, sizeof name, &bytes) == 1 &&
         OBJ_txt2nid(std::string(name, bytes).c_str()) == NID_X9_62_prime256v1;
}

PkeyPtr rsa_public_key(std::string_view modulus, std::string_view exponent) {
  const ClearErrors clear;
  const BnPtr n = number(modulus);
  const BnPtr e = number(exponent);
  const ParamBuildPtr builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  return build("RSA", builder.get());
}

PkeyPtr p256_public_key(std::string_view x, std::string_view y) {
  const ClearErrors clear;
  if (x.size() != 32 || y.size() != 32) return nullptr;
  std::string point(1, '\x04');  // uncompressed
  point.append(x).append(y);
  const ParamBuildPtr builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return nullptr;
  return build("EC", builder.get());
}

}  // namespace ringfence
