// What the first touch of 160 MiB costs in huge pages and in small ones (docs/decisions/0005). Run it some seconds after memory was
// freed, so that a hypervisor that takes free memory back has done so:
//   cc -O2 -o first-touch perf/first-touch.c
//   for i in 1 2 3 4 5; do for kind in huge small; do echo 1 >/proc/sys/vm/drop_caches; sleep 4; ./first-touch $kind; done; done
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static double milliseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
    const size_t size = (size_t)160 << 20, huge = (size_t)2 << 20;
    const int is_huge = argc > 1 && strcmp(argv[1], "huge") == 0;
    char *area = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) return perror("mmap"), 1;
    area = (char *)(((uintptr_t)area + huge - 1) & ~(huge - 1));
    if (madvise(area, size, is_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0) return perror("madvise"), 1;
    const double begin = milliseconds();
    if (madvise(area, size, MADV_POPULATE_WRITE) != 0) return perror("madvise: MADV_POPULATE_WRITE"), 1;
    printf("%s pages: %.0f ms\n", is_huge ? "huge" : "small", milliseconds() - begin);
    return 0;
}
