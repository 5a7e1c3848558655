// What a host program may do with the library for C. c-caller LIBRARY IMAGE SLOW-IMAGE DISK OTHER-DISK EVENTS: the first failure
// ends it. Events go to the file EVENTS.
#define _GNU_SOURCE
#include <curl/curl.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "streamdisk.h"

#define expect(condition) do { if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, #condition); exit(1); } } while (0)

static volatile sig_atomic_t signals;
static void count_signal(int number) { (void)number; signals++; }

static FILE *event_lines;

struct seen { int events, starts, completed, errors, plans; pthread_t thread; streamdisk *canceller, *second; };

static void on_event(void *user, const char *json, size_t length) {
    struct seen *seen = user;
    char *line = strndup(json, length);
    expect(strlen(line) == length && line[0] == '{' && line[length - 1] == '}');
    expect(pthread_equal(pthread_self(), seen->thread));
    // What the callback writes to a closed pipe is an error to it, no signal: in the first and the last event, too.
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    expect(sigismember(&mask, SIGPIPE) && sigismember(&mask, SIGXFSZ));
    seen->events++;
    expect(fprintf(event_lines, "%s\n", line) > 0);
    if (strstr(line, "\"event\":\"start\"")) seen->starts++;
    if (strstr(line, "\"event\":\"plan\"")) seen->plans++;
    if (strstr(line, "\"event\":\"completed\"")) seen->completed++;
    if (strstr(line, "\"event\":\"error\"")) seen->errors++;
    free(line);
    if (seen->second) {
        expect(streamdisk_stream(seen->second, NULL) == 64 && strstr(streamdisk_error_message(seen->second), "another operation"));
        expect(streamdisk_set(seen->second, "verify", "true") == 64);
        seen->second = NULL;
    }
}

/* With nothing on 0 to 2, the library puts nothing there. */
static void see_standard_files(void *user, const char *json, size_t length) {
    (void)json, (void)length;
    for (int number = 0; number <= 2; number++) *(int *)user |= fcntl(number, F_GETFD) >= 0;
}

static void cancel_in_write(void *handle, const char *json, size_t length) {
    if (memmem(json, length, "\"event\":\"progress\"", 18)) streamdisk_cancel(handle);
}

static void *cancel_soon(void *handle) { usleep(700000); streamdisk_cancel(handle); return NULL; }

struct job { const char *image, *disk; int code; };
static void *stream_job(void *argument) {
    struct job *job = argument;
    streamdisk *handle = streamdisk_new(job->image);
    job->code = streamdisk_stream(handle, job->disk);
    streamdisk_free(handle);
    return NULL;
}

static long resident_kib(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;
    expect(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) >> 10);
}

static int open_files(void) {
    DIR *folder = opendir("/proc/self/fd");
    int files = 0;
    expect(folder);
    while (readdir(folder)) files++;
    closedir(folder);
    return files;
}

int main(int count, char **a) {
    expect(count == 7 && (event_lines = fopen(a[6], "w")));
    const char *library = a[1], *image = a[2], *slow = a[3], *disk = a[4], *other = a[5];
    struct sigaction action = {.sa_handler = count_signal}, now;
    // A test's process may have blocked them: this program's own state is what is looked at.
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGPIPE);
    sigaddset(&mask, SIGXFSZ);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
    expect(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    expect(strcmp(streamdisk_version(), "0.2.0") == 0);

    // Opened and closed twice beside the linked one; what it starts stays.
    for (int i = 0; i < 2; i++) {
        void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        expect(opened && dlsym(opened, "streamdisk_new") && !dlsym(opened, "swift_retain"));
        expect(dlclose(opened) == 0);
    }

    // Nonsense.
    expect(streamdisk_new(NULL) == NULL);
    streamdisk_free(NULL);
    streamdisk_string_free(NULL);
    streamdisk_cancel(NULL);
    expect(streamdisk_stream(NULL, disk) == 64 && streamdisk_set(NULL, "hash", "x") == 64 && streamdisk_disks(NULL) == 64);
    expect(streamdisk_error_code(NULL) == 0 && streamdisk_error_offset(NULL) == -1 && streamdisk_error_kind(NULL)[0] == 0);
    streamdisk *odd = streamdisk_new("\xff\xfe");
    struct seen nonsense = {.thread = pthread_self()};
    streamdisk_on_event(odd, on_event, &nonsense);
    expect(odd && streamdisk_stream(odd, disk) == 64 && strcmp(streamdisk_error_kind(odd), "usage") == 0);
    streamdisk_free(odd);

    // Options.
    streamdisk *handle = streamdisk_new(image);
    const char *bad[][2] = {
        {"yes", "true"}, {"quiet", "true"}, {"events", "3"}, {"--hash", "ignored"}, {"hash", "sha256:00"}, {"verify", "yes"},
        {"retry-timeout", "5 m"}, {"retry-timeout", "0"}, {"connections", "65"}, {"memory-limit", "-1"}, {"engine", "magic"},
        {"header", "no colon"}, {"header", "@/no/such/file"}, {"verify", NULL}, {NULL, "true"}, {"header", "\xff: x"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect(streamdisk_set(handle, bad[i][0], bad[i][1]) == 64);
        expect(streamdisk_error_code(handle) == 64 && streamdisk_error_message(handle)[0] != 0);
    }
    const char *good[][2] = {
        {"hash", "ignored"}, {"retry-timeout", "5m"}, {"stall-timeout", "1.5h"}, {"connections", "2"}, {"memory-limit", "1.5G"},
        {"engine", "pwrite"}, {"engine", "auto"}, {"header", "X-One: 1"}, {"header", "X-Two: 2"}, {"verify", "true"}, {"dry-run", "true"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) expect(streamdisk_set(handle, good[i][0], good[i][1]) == 0);
    expect(streamdisk_error_code(handle) == 0);
    expect(streamdisk_set(handle, "key", "/k") == 0 && streamdisk_stream(handle, disk) == 64);
    expect(strstr(streamdisk_error_message(handle), "cert"));
    streamdisk_free(handle);

    // A disk is named or chosen, as on the command line.
    handle = streamdisk_new(image);
    expect(streamdisk_set(handle, "select", "serial=none") == 0 && streamdisk_set(handle, "plain-http", "true") == 0);
    expect(streamdisk_stream(handle, disk) == 64 && strstr(streamdisk_error_message(handle), "select"));
    expect(streamdisk_stream_partition(handle, "1", disk) == 64 && streamdisk_verify(handle, disk) == 74);
    expect(streamdisk_stream(handle, NULL) == 78 && strcmp(streamdisk_error_kind(handle), "disk.noneMatches") == 0);
    streamdisk_free(handle);

    // No such image.
    handle = streamdisk_new("/no/such/image.cosi");
    expect(streamdisk_stream(handle, disk) == 66 && streamdisk_error_code(handle) == 66);
    expect(strcmp(streamdisk_error_kind(handle), "source.notFound") == 0);
    expect(strstr(streamdisk_error_message(handle), "/no/such/image.cosi") && !strstr(streamdisk_error_message(handle), "--"));
    expect(strcmp(streamdisk_disk_state(handle), "untouched") == 0);
    expect(streamdisk_verify(handle, disk) == 66 && strcmp(streamdisk_disk_state(handle), "untouched") == 0);
    expect(streamdisk_stream(handle, "") == 64 && streamdisk_verify(handle, NULL) == 64);
    streamdisk_free(handle);

    // Inspected, streamed, compared.
    char *json = NULL;
    struct seen seen = {.thread = pthread_self()};
    handle = streamdisk_new(image);
    expect(streamdisk_inspect(handle, &json) == 0 && json && strstr(json, "\"partitions\""));
    streamdisk_string_free(json);
    seen.second = handle;
    streamdisk_on_event(handle, on_event, &seen);
    expect(streamdisk_stream(handle, disk) == 0);
    expect(strcmp(streamdisk_disk_state(handle), "written") == 0);
    expect(seen.starts == 1 && seen.plans == 1 && seen.completed == 1 && seen.errors == 0);
    expect(streamdisk_verify(handle, disk) == 0 && streamdisk_error_code(handle) == 0 && seen.completed == 2);
    expect(strcmp(streamdisk_disk_state(handle), "untouched") == 0);
    expect(streamdisk_inspect(handle, &json) == 0 && seen.starts == 3 && seen.completed == 3);
    streamdisk_string_free(json);
    streamdisk_on_event(handle, NULL, NULL);

    // A partition alone.
    expect(streamdisk_stream_partition(handle, "1", other) == 0);
    expect(streamdisk_stream_partition(handle, "99", other) != 0 && streamdisk_stream_partition(handle, NULL, other) == 64);

    // Two at once.
    struct job jobs[2] = {{image, disk, -1}, {image, other, -1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) expect(pthread_create(&threads[i], NULL, stream_job, &jobs[i]) == 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    expect(jobs[0].code == 0 && jobs[1].code == 0);

    // Cancelled: by another thread, and before it began. The handle is good for more.
    streamdisk *late = streamdisk_new(slow);
    struct seen cut = {.thread = pthread_self()};
    streamdisk_on_event(late, on_event, &cut);
    expect(pthread_create(&threads[0], NULL, cancel_soon, late) == 0);
    expect(streamdisk_stream(late, other) == 130 && strcmp(streamdisk_error_kind(late), "cancelled") == 0);
    expect(strcmp(streamdisk_disk_state(late), "withoutTable") == 0 && cut.errors == 1);
    pthread_join(threads[0], NULL);

    // Runs that end early keep neither memory nor files.
    long memory = 0;
    int files = 0;
    streamdisk_on_event(late, cancel_in_write, late);
    for (int i = 0; i < 20; i++) {
        if (i == 5) memory = resident_kib(), files = open_files();
        expect(streamdisk_stream(late, other) == 130);
    }
    expect(resident_kib() - memory < 16384 && open_files() == files);
    streamdisk_cancel(handle);
    expect(streamdisk_verify(handle, disk) == 130);
    expect(streamdisk_verify(handle, disk) == 0);
    streamdisk_free(late);
    streamdisk_free(handle);

    // A caller of SIGXFSZ's kind of limit would have been told by now; the host's handlers are what they were.
    expect(signals == 0);
    sigaction(SIGPIPE, NULL, &now);
    expect(now.sa_handler == count_signal);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    expect(!sigismember(&mask, SIGPIPE) && !sigismember(&mask, SIGXFSZ));
    raise(SIGPIPE);
    expect(signals == 1);

    // Nothing is kept of what was freed.
    long before = 0;
    for (int i = 0; i < 600; i++) {
        if (i == 200) before = resident_kib();
        streamdisk *one = streamdisk_new("/no/such/image.cosi");
        streamdisk_set(one, "hash", "wrong");
        expect(streamdisk_stream(one, disk) == 66);
        streamdisk_free(one);
    }
    expect(resident_kib() - before < 2048);
    // Without standard files; with a new process, for this one tells how it ends.
    pid_t child = fork();
    if (child == 0) {
        int taken = 0;
        for (int number = 0; number <= 2; number++) close(number);
        handle = streamdisk_new(image);
        streamdisk_on_event(handle, see_standard_files, &taken);
        for (int i = 0; i < 2; i++) {
            streamdisk_set(handle, "engine", i == 0 ? "auto" : "pwrite");
            if (streamdisk_stream(handle, disk) != 0 || streamdisk_verify(handle, disk) != 0) _exit(2);
        }
        _exit(taken);
    }
    int status = 0;
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    expect(fclose(event_lines) == 0);
    puts("ok");
    return 0;
}
