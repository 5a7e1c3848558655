// OpenSSL's libcrypto: the EVP message digests.
#ifndef CCRYPTO_H
#define CCRYPTO_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <openssl/evp.h>
#include <openssl/err.h>
#endif
