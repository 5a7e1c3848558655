// libblkid's low-level probing (util-linux): partition tables, and the signatures of file systems, RAID, LVM and encryption.
#ifndef CBLKID_H
#define CBLKID_H
#include <blkid/blkid.h>
#endif
