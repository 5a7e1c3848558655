// The alternative "buffered": streaming as Trident's documentation describes its own: one thread, one HTTP range request after
// the other, each image's bytes through SHA-384 into zstd's streaming decoder, its output in 4 MiB pieces through the page cache,
// and a sync at the end. The primary GPT comes first.
//
// It does nothing slowly on purpose: libcurl's largest receive buffer, libcrypto's EVP, decoding straight into the piece that
// is written, no copy of its own. What it does not do is overlap anything but the kernel's write-back.
//
// usage: buffered URL DEVICE IMAGE...      see parts.h; prints the seconds that it took
#define _GNU_SOURCE 1
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

enum { piece_bytes = 4 << 20, window_log_max = 31 };

static struct {
    EVP_MD_CTX *hash;
    ZSTD_DCtx *decoder;
    char *piece;
    size_t filled, frame_left;
    uint64_t decoded, decoded_max, device_offset;
    int device;
} state;

static void write_piece(void) {
    for (size_t done = 0; done < state.filled;) {
        ssize_t count = pwrite(state.device, state.piece + done, state.filled - done, state.device_offset + done);
        if (count < 0 && errno != EINTR) die("write", strerror(errno));
        if (count > 0) done += count;
    }
    state.device_offset += state.filled;
    state.filled = 0;
}

static size_t take(char *bytes, size_t size, size_t count, void *context) {
    (void)context;
    ZSTD_inBuffer input = {bytes, size * count, 0};
    EVP_DigestUpdate(state.hash, bytes, input.size);
    // Also when all input is taken: a full piece may leave decoded bytes of the frame inside the decoder.
    for (int full = 0; input.pos < input.size || full;) {
        ZSTD_outBuffer output = {state.piece, piece_bytes, state.filled};
        state.frame_left = ZSTD_decompressStream(state.decoder, &output, &input);
        if (ZSTD_isError(state.frame_left)) die("decode", ZSTD_getErrorName(state.frame_left));
        state.decoded += output.pos - state.filled;
        if (state.decoded > state.decoded_max) die("decode", "more bytes than the image should have");
        state.filled = output.pos;
        full = output.pos == piece_bytes && state.frame_left > 0;
        if (output.pos == piece_bytes) write_piece();
    }
    return input.size;
}

int main(int argc, char **argv) {
    if (argc < 4) die("usage", "buffered URL DEVICE IMAGE...");
    double begin = now_seconds();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    state.device = open(argv[2], O_WRONLY | O_CLOEXEC);
    if (state.device < 0) die(argv[2], strerror(errno));
    state.hash = begin_hash();
    state.decoder = ZSTD_createDCtx();
    state.piece = malloc(piece_bytes);
    if (!state.decoder || !state.piece) die("memory", "none");
    ZSTD_DCtx_setParameter(state.decoder, ZSTD_d_windowLogMax, window_log_max);
    CURL *client = make_client(argv[1], take, NULL);
    for (int i = 3; i < argc; i++) {
        struct image image = parse_image(argv[i]);
        state.device_offset = image.device_offset;
        state.decoded = 0;
        state.decoded_max = image.decoded;
        fetch_range(client, &image);
        write_piece();
        check_hash(state.hash, &image);
        if (state.frame_left != 0 || state.decoded != image.decoded) die("decode", "not the image's length");
    }
    if (fsync(state.device) != 0) die("sync", strerror(errno));
    close(state.device);
    printf("%.6f\n", now_seconds() - begin);
}
