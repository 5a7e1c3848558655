// libcurl for Swift: its variadic calls as one typed inline function per argument type. No logic.
// Sources: curl_easy_setopt(3), curl_easy_getinfo(3).
#ifndef CCURL_H
#define CCURL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
// glibc declares the members of fd_set differently when other feature macros are set (XPG4.2 names), and Swift refuses to
// import two modules that disagree. So this module imports it under another name; only curl_multi_fdset(3), unused here,
// takes it.
#define fd_set cc_fd_set
#include <curl/curl.h>
#include <stddef.h>
#undef fd_set

typedef size_t (*cc_data_callback)(char *data, size_t size, size_t count, void *context);

static inline CURLcode cc_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_callback(CURL *easy, CURLoption option, cc_data_callback value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_get_long(CURL *easy, CURLINFO info, long *out) { return curl_easy_getinfo(easy, info, out); }
static inline CURLcode cc_get_string(CURL *easy, CURLINFO info, char **out) {
    return curl_easy_getinfo(easy, info, out);
}

// curl/multi.h: the union of CURLMsg, which has a code only when the message is CURLMSG_DONE.
static inline CURLcode cc_message_result(const CURLMsg *message) { return message->data.result; }

#endif
