// libxxhash: XXH3, a checksum that runs at memory speed.
#ifndef CXXHASH_H
#define CXXHASH_H
#include <xxhash.h>
#endif
