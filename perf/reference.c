// The C reference implementation: the library's design in as little C as it takes, to say how fast it can be on a machine. No
// checks beyond hash and lengths, no retries, no fallbacks, no order of writes: not a program to write a disk with.
//
// Thread 1 fetches (libcurl) and hashes (libcrypto) into a byte ring. Thread 2, the main one, decodes from there block by block
// (ZSTD_decompressContinue) into a ring of slots that is the decoder's window too, and writes full slots with io_uring,
// O_DIRECT, registered file. The slot ring lies in huge pages, which a third thread touches ahead of the decoder.
//
// usage: reference URL DEVICE IMAGE...      see parts.h; prints the seconds that it took
#define _GNU_SOURCE 1
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

enum {
    pipe_bytes = 4 << 20,
    slot_bytes = 1 << 20,
    in_flight_bytes = 32 << 20,
    depth = 64,
    overrun_bytes = 64,
    align = 4096
};

// MARK: from the fetch thread to the decoder

// Mapped twice in a row, so that any piece is contiguous.
static char *pipe_ring;
static uint64_t appended, consumed;
static size_t wanted_bytes, wanted_room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_bytes = PTHREAD_COND_INITIALIZER, has_room = PTHREAD_COND_INITIALIZER;

static const char *url;
static struct image *images;
static int image_count;
static EVP_MD_CTX *hash;

static void make_pipe(void) {
    int memory = memfd_create("pipe", MFD_CLOEXEC);
    if (memory < 0 || ftruncate(memory, pipe_bytes) != 0) die("memfd", strerror(errno));
    pipe_ring = mmap(NULL, 2 * pipe_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int half = 0; half < 2; half++)
        if (mmap(pipe_ring + half * pipe_bytes, pipe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0) ==
            MAP_FAILED)
            die("mmap", strerror(errno));
    close(memory);
}

static size_t take(char *bytes, size_t size, size_t count, void *context) {
    (void)context;
    size_t total = size * count;
    EVP_DigestUpdate(hash, bytes, total);
    for (size_t done = 0; done < total;) {
        pthread_mutex_lock(&lock);
        while (pipe_bytes - (appended - consumed) < (wanted_room ? wanted_room : 1)) {
            wanted_room = pipe_bytes / 4;
            pthread_cond_wait(&has_room, &lock);
        }
        wanted_room = 0;
        size_t room = pipe_bytes - (appended - consumed);
        pthread_mutex_unlock(&lock);
        size_t piece = total - done < room ? total - done : room;
        memcpy(pipe_ring + appended % pipe_bytes, bytes + done, piece);
        done += piece;
        pthread_mutex_lock(&lock);
        appended += piece;
        if (wanted_bytes && appended - consumed >= wanted_bytes) pthread_cond_signal(&has_bytes);
        pthread_mutex_unlock(&lock);
    }
    return total;
}

static void *fetch(void *context) {
    CURL *client = make_client(url, take, NULL);
    hash = begin_hash();
    for (int i = 0; i < image_count; i++) {
        fetch_range(client, &images[i]);
        check_hash(hash, &images[i]);
    }
    return context;
}

static const char *next_bytes(size_t count) {
    pthread_mutex_lock(&lock);
    while (appended - consumed < count) {
        wanted_bytes = count;
        pthread_cond_wait(&has_bytes, &lock);
    }
    wanted_bytes = 0;
    pthread_mutex_unlock(&lock);
    return pipe_ring + consumed % pipe_bytes;
}

static void consume(size_t count) {
    pthread_mutex_lock(&lock);
    consumed += count;
    if (wanted_room && pipe_bytes - (appended - consumed) >= wanted_room) pthread_cond_signal(&has_room);
    pthread_mutex_unlock(&lock);
}

// MARK: from the decoder to the disk

static struct io_uring uring;
static char *ring;
static size_t ring_bytes;
static int *slot_writes;
static size_t in_flight;
static int requests;

static void reap(int wait) {
    struct io_uring_cqe *entry;
    int code = wait ? io_uring_submit_and_wait(&uring, 1) : io_uring_submit_and_get_events(&uring);
    if (code < 0 && code != -EINTR) die("io_uring", strerror(-code));
    while (io_uring_peek_cqe(&uring, &entry) == 0) {
        uint64_t tag = io_uring_cqe_get_data64(entry);
        size_t length = tag & 0xffffffff;
        if (entry->res < 0) die("write", strerror(-entry->res));
        if ((size_t)entry->res != length) die("write", "short");
        io_uring_cqe_seen(&uring, entry);
        slot_writes[tag >> 32]--;
        in_flight -= length;
        requests--;
    }
}

static void write_range(size_t from, size_t to, uint64_t device_offset) {
    while (requests == depth || (requests > 0 && in_flight + (to - from) > in_flight_bytes)) reap(1);
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring);
    io_uring_prep_write(entry, 0, ring + from, to - from, device_offset);
    io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data64(entry, (uint64_t)(from / slot_bytes) << 32 | (to - from));
    slot_writes[from / slot_bytes]++;
    in_flight += to - from;
    requests++;
    reap(0);
}

static size_t position, emitted, ready;
static uint64_t lap_start, device_start;

static void emit(size_t end) {
    if (end > emitted) write_range(emitted, end, device_start + lap_start + emitted);
    emitted = end;
}

static void wait_ready(size_t end) {
    for (; ready < end; ready += slot_bytes)
        while (slot_writes[ready / slot_bytes] > 0) reap(1);
}

// Room for a block; at the lap's end what is no whole alignment unit moves to the ring's start.
static char *reserve(size_t bytes, size_t lap_bytes) {
    if (position + bytes > lap_bytes) {
        size_t whole = position / align * align, carried = position - whole;
        emit(whole);
        lap_start += whole;
        position = carried;
        emitted = ready = 0;
        wait_ready(align);
        memmove(ring, ring + whole, carried);
    }
    wait_ready(position + bytes);
    return ring + position;
}

static void decode(const struct image *image, ZSTD_DCtx *decoder) {
    uint64_t left = image->length;
    device_start = image->device_offset;
    lap_start = position = emitted = ready = 0;
    while (left > 0) {
        size_t head = left < ZSTD_FRAMEHEADERSIZE_MAX ? left : ZSTD_FRAMEHEADERSIZE_MAX;
        ZSTD_frameHeader header;
        if (ZSTD_getFrameHeader(&header, next_bytes(head), head) != 0) die("decode", "no frame header");
        if (header.frameType == ZSTD_skippableFrame) {
            for (size_t skip = 8 + header.frameContentSize, step; skip > 0; skip -= step, left -= step) {
                step = skip < (64 << 10) ? skip : (64 << 10);
                next_bytes(step);
                consume(step);
            }
            continue;
        }
        uint64_t content = image->decoded - (lap_start + position);
        size_t room = header.blockSizeMax + overrun_bytes;
        size_t lap = ZSTD_decodingBufferSize_min(header.windowSize, content) + 2 * room + align + in_flight_bytes;
        if (lap > ring_bytes) die("decode", "the window is larger than the ring");
        ZSTD_decompressBegin(decoder);
        for (size_t count; (count = ZSTD_nextSrcSizeToDecompress(decoder)) > 0;) {
            char *target = reserve(room, lap);
            size_t made = ZSTD_decompressContinue(decoder, target, room, next_bytes(count), count);
            if (ZSTD_isError(made)) die("decode", ZSTD_getErrorName(made));
            consume(count);
            left -= count;
            position += made;
            while (position / slot_bytes > emitted / slot_bytes) emit((emitted / slot_bytes + 1) * slot_bytes);
        }
    }
    if (lap_start + position != image->decoded) die("decode", "not the image's length");
}

static void finish(size_t block_bytes) {
    size_t end = (position + block_bytes - 1) / block_bytes * block_bytes;
    wait_ready(end);
    memset(ring + position, 0, end - position);
    emit(end);
}

// Touches the ring ahead of the decoder, without changing what is in it. Registered buffers would touch all of it first.
static void *populate(void *context) {
    for (size_t at = 0, step = 2 << 20; at < ring_bytes; at += step)
        madvise(ring + at, ring_bytes - at < step ? ring_bytes - at : step, MADV_POPULATE_WRITE);
    return context;
}

static void make_ring(uint64_t window, uint64_t content) {
    size_t huge = 2 << 20;
    ring_bytes = ZSTD_decodingBufferSize_min(window, content) + 2 * ((128 << 10) + overrun_bytes) + align + in_flight_bytes;
    ring_bytes = (ring_bytes + slot_bytes - 1) / slot_bytes * slot_bytes;
    char *area = mmap(NULL, ring_bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) die("mmap", strerror(errno));
    ring = (char *)(((uintptr_t)area + huge - 1) & ~(huge - 1));
    madvise(ring, ring_bytes, MADV_HUGEPAGE);
    slot_writes = calloc(ring_bytes / slot_bytes, sizeof *slot_writes);
}

int main(int argc, char **argv) {
    if (argc < 4) die("usage", "reference URL DEVICE IMAGE... (WINDOW_BYTES in the environment)");
    double begin = now_seconds();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    url = argv[1];
    image_count = argc - 3;
    images = calloc(image_count, sizeof *images);
    uint64_t content = 0;
    for (int i = 0; i < image_count; i++) {
        images[i] = parse_image(argv[i + 3]);
        if (images[i].decoded > content) content = images[i].decoded;
    }
    int device = open(argv[2], O_RDWR | O_DIRECT | O_CLOEXEC), block_bytes = 0;
    if (device < 0) die(argv[2], strerror(errno));
    if (ioctl(device, BLKSSZGET, &block_bytes) != 0) die(argv[2], strerror(errno));

    make_pipe();
    pthread_t fetcher, toucher;
    if (pthread_create(&fetcher, NULL, fetch, NULL) != 0) die("thread", "none");
    const char *window = getenv("WINDOW_BYTES");
    make_ring(window ? strtoull(window, NULL, 10) : 128 << 20, content);
    if (pthread_create(&toucher, NULL, populate, NULL) != 0) die("thread", "none");
    if (io_uring_queue_init(depth, &uring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) != 0)
        die("io_uring", "refused");
    if (io_uring_register_files(&uring, &device, 1) != 0) die("io_uring", "file refused");

    ZSTD_DCtx *decoder = ZSTD_createDCtx();
    for (int i = 0; i < image_count; i++) {
        decode(&images[i], decoder);
        finish(block_bytes);
    }
    while (requests > 0) reap(1);
    pthread_join(fetcher, NULL);
    pthread_join(toucher, NULL);
    if (fsync(device) != 0) die("sync", strerror(errno));
    close(device);
    printf("%.6f\n", now_seconds() - begin);
}
