// What the two C programs of this folder have in common: the list of images on the command line, the HTTP range request, and
// the hash check. An image is `offset:length:deviceOffset:decodedBytes:sha384`, all numbers in bytes.
#ifndef PARTS_H
#define PARTS_H

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct image {
    uint64_t offset, length, device_offset, decoded;
    char sha384[97];
};

static inline void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline double now_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static inline struct image parse_image(const char *text) {
    struct image image;
    if (sscanf(text, "%lu:%lu:%lu:%lu:%96[0-9a-f]", &image.offset, &image.length, &image.device_offset, &image.decoded,
               image.sha384) != 5 ||
        strlen(image.sha384) != 96 || image.length == 0)
        die(text, "not of the form offset:length:deviceOffset:decodedBytes:sha384");
    return image;
}

static inline CURL *make_client(const char *url, curl_write_callback take, void *context) {
    CURL *client = curl_easy_init();
    if (!client) die("libcurl", "no handle");
    curl_easy_setopt(client, CURLOPT_URL, url);
    curl_easy_setopt(client, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(client, CURLOPT_WRITEDATA, context);
    curl_easy_setopt(client, CURLOPT_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(client, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(client, CURLOPT_NOSIGNAL, 1L);
    return client;
}

// Fetches one image's bytes with one range request, into the client's callback.
static inline void fetch_range(CURL *client, const struct image *image) {
    char range[64];
    snprintf(range, sizeof range, "%lu-%lu", image->offset, image->offset + image->length - 1);
    curl_easy_setopt(client, CURLOPT_RANGE, range);
    CURLcode code = curl_easy_perform(client);
    long status = 0;
    curl_easy_getinfo(client, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) die("fetch", curl_easy_strerror(code));
    if (status != 206) die("fetch", "the server did not answer the range request with 206");
}

static inline EVP_MD_CTX *begin_hash(void) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash || EVP_DigestInit_ex(hash, EVP_sha384(), NULL) != 1) die("libcrypto", "no SHA-384");
    return hash;
}

static inline void check_hash(EVP_MD_CTX *hash, const struct image *image) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned count = 0;
    EVP_DigestFinal_ex(hash, digest, &count);
    for (unsigned i = 0; i < count; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    if (strcmp(text, image->sha384)) die("hash", "not the image's SHA-384");
    EVP_DigestInit_ex(hash, EVP_sha384(), NULL);
}

#endif
