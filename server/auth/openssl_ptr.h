// OpenSSL's objects as owners, and the few things done with public keys. Each leaves OpenSSL's queue of errors empty.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

namespace ringfence {

template <auto Free>
struct OpensslFree {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using BnPtr = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using PkeyCtxPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslFree<EVP_PKEY_CTX_free>>;
using ParamBuildPtr = std::unique_ptr<OSSL_PARAM_BLD, OpensslFree<OSSL_PARAM_BLD_free>>;
using ParamPtr = std::unique_ptr<OSSL_PARAM, OpensslFree<OSSL_PARAM_free>>;

PkeyPtr read_public_key(std::string_view pem);  // or of a certificate; null if it is neither
std::string write_public_key(EVP_PKEY* key);    // PEM; empty if it cannot be written
bool on_p256(EVP_PKEY* ec_key);
// Of the big-endian numbers of a JWK; null if they make no key.
PkeyPtr rsa_public_key(std::string_view modulus, std::string_view exponent);
PkeyPtr p256_public_key(std::string_view x, std::string_view y);

}  // namespace ringfence
