// libzstd with its experimental API: ZSTD_getFrameHeader, ZSTD_decompressContinue, ZSTD_decodingBufferSize_min.
#ifndef CZSTD_H
#define CZSTD_H
#define ZSTD_STATIC_LINKING_ONLY 1
#include <zstd.h>
#include <zstd_errors.h>
#endif
