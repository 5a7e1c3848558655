// libzstd with its advanced part: ZSTD_getFrameHeader, ZSTD_decompressContinue, ZSTD_decodingBufferSize_min.
#ifndef CZSTD_H
#define CZSTD_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#define ZSTD_STATIC_LINKING_ONLY 1
#include <zstd.h>
#include <zstd_errors.h>
#endif
