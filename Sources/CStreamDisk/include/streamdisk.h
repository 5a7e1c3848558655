/* streamdisk.h: stream OS images (COSI) onto disks. Link with `pkg-config --cflags --libs streamdisk`.
 *
 * Strings in, JSON out, one handle an operation. Options carry the names of the stream-disk command line, events are its
 * events, and codes its exit codes: 0 done, 64 usage, 65 invalid image, 66 no such image, 69 source unreachable, 70 a bug,
 * 74 the disk failed or differs, 75 busy, 76 the server cannot serve this, 77 not permitted, 78 no usable disk, 130 cancelled.
 *
 * All strings are UTF-8 and end with NUL. Handles are independent: several may work at once, each on a thread of its own.
 * The library prints nothing, changes no signal's disposition and never exits. */
#ifndef STREAMDISK_H
#define STREAMDISK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct streamdisk streamdisk;

/* A new operation on an image: a URL, an oci:// reference or a path. NULL when `image` is NULL or memory is out. Touches
 * nothing yet: an image that makes no sense is an error of the operation. */
streamdisk *streamdisk_new(const char *image);

/* Frees a handle, and the strings of its error functions. NULL is allowed. Not while an operation runs on it. */
void streamdisk_free(streamdisk *handle);

/* Sets an option by its long name on the command line, without dashes: "hash", "retry-timeout", "stall-timeout",
 * "connections", "cacert", "cert", "key", "header", "plain-http", "select", "memory-limit", "engine", "verify", "dry-run".
 * A flag takes "true" or "false". "header" and "select" add one each time; "header" reads the lines of a file for "@FILE". An
 * option holds for every later operation.
 * Returns 0; 64 for an unknown name, a value that does not parse, or while an operation runs. */
int streamdisk_set(streamdisk *handle, const char *name, const char *value);

/* Takes one event: a JSON object (docs/EVENTS.md) of `length` bytes, on one line, without a NUL behind it, valid for the call. */
typedef void (*streamdisk_event_fn)(void *user, const char *json, size_t length);

/* Who is told of the events of all later operations, on the thread that calls one, and with SIGPIPE and SIGXFSZ blocked. NULL:
 * nobody. The callback may call streamdisk_cancel. It must not free the handle, nor leave by longjmp or an exception. */
void streamdisk_on_event(streamdisk *handle, streamdisk_event_fn function, void *user);

/* Operations. Each blocks until it has ended and returns 0 or an exit code of the command line. One at a time on a handle:
 * another one returns 64 at once. To call one is to say yes: nothing is asked. */

/* Writes the image to a block device or an existing regular file; `disk` NULL: to the smallest disk that fits and is not in use,
 * of those that match every "select". With a disk and a "select": 64. */
int streamdisk_stream(streamdisk *handle, const char *disk);

/* Compares a disk with the image; writes nothing. 74 where they differ, with the kind "device.mismatch". */
int streamdisk_verify(streamdisk *handle, const char *disk);

/* What the image holds, as `stream-disk inspect --json` prints it. Free *json with streamdisk_string_free; NULL after an error. */
int streamdisk_inspect(streamdisk *handle, char **json);

/* Writes one partition's image onto a device or file, from its first byte; no partition table is touched. `partition` is its GPT
 * number, its GPT name or its mount point. */
int streamdisk_stream_partition(streamdisk *handle, const char *partition, const char *device);

/* The disks of this host, as `stream-disk disks --json` prints them. Free *json with streamdisk_string_free; NULL after an error. */
int streamdisk_disks(char **json);

/* From any thread, not from a signal handler: the running operation returns 130 after its writes in flight were reaped. When none
 * runs, the next one returns 130: a cancel that comes too early is not lost. */
void streamdisk_cancel(streamdisk *handle);

/* About the last call that failed. Strings are valid until the next call of streamdisk_set or of an operation on the handle. */
int         streamdisk_error_code(const streamdisk *handle);    /* 0: none */
const char *streamdisk_error_kind(const streamdisk *handle);    /* stable: "image.hash", "disk.inUse", "usage" …; "": none */
const char *streamdisk_error_message(const streamdisk *handle); /* one line; "": none */
int64_t     streamdisk_error_offset(const streamdisk *handle);  /* byte of the image or the disk; -1: none */
/* What the last operation left on its disk, failed or not: "untouched", "withoutTable", "uncertain", "written". Valid for good. */
const char *streamdisk_disk_state(const streamdisk *handle);

/* Frees what streamdisk_inspect and streamdisk_disks returned. NULL is allowed. */
void streamdisk_string_free(char *string);

/* Such as "0.2.0". */
const char *streamdisk_version(void);

#ifdef __cplusplus
}
#endif

#endif
