// Counts a program's allocations: LD_PRELOAD=count-malloc.so MALLOC_COUNT_FILE=FILE PROGRAM... writes the number to FILE when
// the program ends. Forwards to glibc's own allocator.
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static atomic_ulong count;

void *malloc(size_t bytes) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return __libc_malloc(bytes);
}

void *calloc(size_t items, size_t bytes) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return __libc_calloc(items, bytes);
}

void *realloc(void *old, size_t bytes) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **out, size_t alignment, size_t bytes) {
    void *memory = memalign(alignment, bytes);
    if (!memory) return ENOMEM;
    *out = memory;
    return 0;
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("MALLOC_COUNT_FILE");
    int file = path ? open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (file < 0) return;
    dprintf(file, "%lu\n", atomic_load(&count));
    close(file);
}
