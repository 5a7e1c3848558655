// libxxhash: XXH3, a checksum at the speed of memory.
#ifndef CXXHASH_H
#define CXXHASH_H
#include <xxhash.h>
#endif
