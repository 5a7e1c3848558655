/* streamdisk.h: stream OS images (COSI) onto disks. Link with `pkg-config --cflags --libs streamdisk`.
 *
 * Strings in, JSON out, one handle for each operation. Options, events and codes are those of the stream-disk command line.
 * Codes: 0 done, 64 usage, 65 invalid image, 66 no such image, 69 source unreachable, 70 a bug, 74 the disk failed or differs,
 * 75 busy, 76 the server cannot serve this, 77 not permitted, 78 no usable disk, 130 cancelled.
 *
 * Strings are UTF-8 and NUL-terminated, except the JSON of an event. Handles are independent: several can run at the same time,
 * each on its own thread. The library prints nothing, changes no signal disposition and never calls exit. */
#ifndef STREAMDISK_H
#define STREAMDISK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct streamdisk streamdisk;

/* Makes a handle for an image: a URL, an oci:// reference or a path. Returns NULL only if `image` is NULL. Nothing is opened
 * yet: an image name that is not valid fails in the operation. */
streamdisk *streamdisk_new(const char *image);

/* Frees a handle and the strings its error functions returned. NULL is allowed. Never call it while an operation runs on
 * the handle. */
void streamdisk_free(streamdisk *handle);

/* Sets an option by its long name on the command line, without dashes: "hash", "retry-timeout", "stall-timeout",
 * "connections", "cacert", "cert", "key", "header", "plain-http", "select", "memory-limit", "engine", "verify", "dry-run".
 * A flag takes "true" or "false". Each call with "header" or "select" adds one; the value "@FILE" of "header" adds every line
 * of that file. An option applies to every later operation on the handle.
 * Returns 0, or 64 for an unknown name, for an invalid value, or while an operation runs. */
int streamdisk_set(streamdisk *handle, const char *name, const char *value);

/* Takes one event: a JSON object (docs/EVENTS.md) on one line, without a newline. `json` is valid during the call only and has
 * `length` bytes. Do not rely on a terminating NUL: use `length`. */
typedef void (*streamdisk_event_fn)(void *user, const char *json, size_t length);

/* Sets the callback that gets the events of all later operations; NULL removes it. It runs on the thread that called the
 * operation, with SIGPIPE and SIGXFSZ blocked, and gets `user` as it was given. It may call streamdisk_cancel. It must not
 * free the handle, and must not leave by longjmp or an exception. */
void streamdisk_on_event(streamdisk *handle, streamdisk_event_fn function, void *user);

/* Operations. Each blocks until it ends, and returns 0 or an exit code of the command line. A handle runs one at a time: a
 * second one returns 64 immediately and leaves the first alone. No operation asks for confirmation. */

/* Writes the image to `disk`, a block device or an existing regular file. If `disk` is NULL, it writes to the smallest disk
 * that fits, is not in use and matches every "select". Returns 64 if both a disk and a "select" are given. */
int streamdisk_stream(streamdisk *handle, const char *disk);

/* Compares a disk with the image; writes nothing. Returns 74, with the kind "device.mismatch", if they differ. */
int streamdisk_verify(streamdisk *handle, const char *disk);

/* Sets *json to what the image holds, as `stream-disk inspect --json` prints it. Free it with streamdisk_string_free. After
 * an error, *json is NULL. */
int streamdisk_inspect(streamdisk *handle, char **json);

/* Writes the image of one partition to a device or file, from its first byte. No partition table is touched. `partition` is the
 * partition's GPT number, GPT name or mount point in the image. */
int streamdisk_stream_partition(streamdisk *handle, const char *partition, const char *device);

/* Sets *json to the disks of this host, as `stream-disk disks --json` prints them. Free it with streamdisk_string_free. After
 * an error, *json is NULL. */
int streamdisk_disks(char **json);

/* Cancels the running operation: it returns 130 as soon as its writes in flight have completed. One that is already ending
 * keeps its own result. If none runs, the cancel applies to the next operation: it returns 130, or the error it meets first,
 * such as 64 for its arguments or options. Either way that operation uses the cancel up; the one after it is not cancelled. A
 * second operation that is refused because one runs changes nothing about a cancel.
 * Call it from any thread, but never from a signal handler. */
void streamdisk_cancel(streamdisk *handle);

/* The error of the last operation or streamdisk_set on the handle. Each starts by clearing the error before it, so none is
 * left after a success. A streamdisk_set that returns 64 because an operation runs changes nothing here. Strings are valid
 * until the next streamdisk_set or operation on the handle. */
int         streamdisk_error_code(const streamdisk *handle);    /* 0: none */
const char *streamdisk_error_kind(const streamdisk *handle);    /* stable: "image.hash", "disk.inUse", "usage" …; "": none */
const char *streamdisk_error_message(const streamdisk *handle); /* one line; "": none */
int64_t     streamdisk_error_offset(const streamdisk *handle);  /* byte of the image or the disk; -1: none */
/* The state in which the last operation left its disk, whether or not it failed: "untouched", "withoutTable", "uncertain" or
 * "written". The string stays valid as long as the process. */
const char *streamdisk_disk_state(const streamdisk *handle);

/* Frees a string from streamdisk_inspect or streamdisk_disks. NULL is allowed. */
void streamdisk_string_free(char *string);

/* The version, such as "0.2.0". The string stays valid as long as the process. */
const char *streamdisk_version(void);

#ifdef __cplusplus
}
#endif

#endif
