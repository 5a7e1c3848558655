/* Streams an image onto a disk or a file: stream IMAGE DISK [sha384:HASH]
 *
 *     cc stream.c $(pkg-config --cflags --libs streamdisk) -o stream */
#include <signal.h>
#include <stdio.h>
#include <streamdisk.h>
#include <pthread.h>

/* Ctrl-C cancels: a thread of its own takes the signal, for streamdisk_cancel must not be called from a signal handler. */
static void *wait_for_interrupt(void *handle) {
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    if (sigwait(&signals, &number) == 0) streamdisk_cancel(handle);
    return NULL;
}

static void print_event(void *user, const char *json, size_t length) {
    (void)user;
    printf("%.*s\n", (int)length, json);
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: %s IMAGE DISK [sha384:HASH]\n", arguments[0]);
        return 64;
    }
    streamdisk *handle = streamdisk_new(arguments[1]);
    if (handle == NULL) return 70;

    sigset_t signals;
    pthread_t thread;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (pthread_create(&thread, NULL, wait_for_interrupt, handle) != 0) return 70;

    streamdisk_on_event(handle, print_event, NULL);
    int code = count > 3 ? streamdisk_set(handle, "hash", arguments[3]) : 0;
    if (code == 0) code = streamdisk_stream(handle, arguments[2]);
    if (code == 0) code = streamdisk_verify(handle, arguments[2]);
    if (code != 0) {
        fprintf(stderr, "%s (%s, disk %s)\n", streamdisk_error_message(handle), streamdisk_error_kind(handle),
                streamdisk_disk_state(handle));
    }

    pthread_cancel(thread);
    pthread_join(thread, NULL);
    streamdisk_free(handle);
    return code;
}
