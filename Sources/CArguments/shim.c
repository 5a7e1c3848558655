#include "CArguments.h"

int ca_kept_count;
char **ca_kept_values;

// glibc calls the functions in .init_array with the arguments of main() (csu/libc-start.c, call_init).
__attribute__((constructor)) static void keep(int count, char **values) {
    ca_kept_count = count;
    ca_kept_values = values;
}
