// What Swift's Glibc module lacks of Linux: block-device ioctls, O_DIRECT, fallocate, statx, affinity.
// Only constants and one-call inline functions; no logic. Sources: the man pages named above each group.
#ifndef CLINUX_H
#define CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
// Under _GNU_SOURCE glibc declares the members of fd_set differently than in Swift's Glibc module, and Swift refuses to
// import two modules that disagree. This module does not use it, and imports it under another name.
#define fd_set cl_fd_set
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#undef fd_set

// open(2)
static const int cl_O_DIRECT = O_DIRECT;
static const int cl_O_PATH = O_PATH;
static const int cl_O_TMPFILE = O_TMPFILE;
static inline int cl_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

// renameat2(2): replaces nothing
static inline int cl_rename_no_replace(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

// fallocate(2)
static const int cl_FALLOC_FL_KEEP_SIZE = FALLOC_FL_KEEP_SIZE;
static const int cl_FALLOC_FL_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE;
static const int cl_FALLOC_FL_ZERO_RANGE = FALLOC_FL_ZERO_RANGE;
static inline int cl_fallocate(int fd, int mode, off_t offset, off_t length) {
    return fallocate(fd, mode, offset, length);
}

// linux/fs.h: block-device ioctls
static inline int cl_block_size_bytes(int fd, uint64_t *out) { return ioctl(fd, BLKGETSIZE64, out); }
static inline int cl_block_logical_size(int fd, int *out) { return ioctl(fd, BLKSSZGET, out); }
static inline int cl_block_read_only(int fd, int *out) { return ioctl(fd, BLKROGET, out); }
static inline int cl_block_reread_partitions(int fd) { return ioctl(fd, BLKRRPART); }

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif
static inline int cl_block_sequence(int fd, uint64_t *out) { return ioctl(fd, BLKGETDISKSEQ, out); }

// linux/blkpg.h: one partition of the kernel's list, in bytes
static const int cl_BLKPG_ADD_PARTITION = BLKPG_ADD_PARTITION;
static const int cl_BLKPG_DEL_PARTITION = BLKPG_DEL_PARTITION;
static inline int cl_block_partition(int fd, int operation, int number, int64_t start, int64_t length) {
    struct blkpg_partition partition = {.start = start, .length = length, .pno = number};
    struct blkpg_ioctl_arg argument = {.op = operation, .datalen = sizeof partition, .data = &partition};
    return ioctl(fd, BLKPG, &argument);
}

// loop(4)
static inline int cl_loop_status(int fd, struct loop_info64 *out) { return ioctl(fd, LOOP_GET_STATUS64, out); }

static inline int cl_loop_free(int control) { return ioctl(control, LOOP_CTL_GET_FREE); }
/// A read-only device over part of a file, which goes with its last user.
static inline int cl_loop_read_only(int loop, int file, uint64_t offset, uint64_t size) {
    struct loop_config config = {
        .fd = file,
        .info = {.lo_offset = offset, .lo_sizelimit = size, .lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR},
    };
    return ioctl(loop, LOOP_CONFIGURE, &config);
}

// fsopen(2), fsconfig(2), fsmount(2): a mount that is in no namespace and has no place but its descriptor
static inline int cl_fsopen(const char *type) { return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC); }
static inline int cl_fsconfig_flag(int context, const char *key) {
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, key, NULL, 0);
}
static inline int cl_fsconfig_text(int context, const char *key, const char *value) {
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0);
}
static inline int cl_fsconfig_create(int context) {
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}
static inline int cl_fsmount_read_only(int context) {
    return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

// openat2(2): a path that stays below the folder, links too
static inline int cl_open_below(int folder, const char *path, uint64_t flags) {
    struct open_how how = {.flags = flags, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

// fcntl(2): the lock that prevents a write lock on the whole file; F_UNLCK if none does
static inline int cl_lock_against_writing(int fd, int *type) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result = fcntl(fd, F_OFD_GETLK, &lock);
    *type = lock.l_type;
    return result;
}

// statx(2), the direct-I/O alignment of a regular file (Linux 6.1)
#ifndef STATX_DIOALIGN
#define CL_STATX_DIOALIGN 0x00002000U
#else
#define CL_STATX_DIOALIGN STATX_DIOALIGN
#endif

static inline int cl_statx_direct_alignment(int fd, struct statx *out) {
    return statx(fd, "", AT_EMPTY_PATH, CL_STATX_DIOALIGN, out);
}

// flock(2): in Swift the struct hides the function
static inline int cl_flock(int fd, int operation) { return flock(fd, operation); }

// readdir(3): a name may be longer than the declared array
static inline const char *cl_entry_name(const struct dirent *entry) { return entry->d_name; }

// makedev(3)
static inline uint32_t cl_major(dev_t device) { return major(device); }
static inline uint32_t cl_minor(dev_t device) { return minor(device); }

// sched_getaffinity(2)
static inline int cl_usable_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// mallopt(3), pthread_setattr_default_np(3)
static const int cl_M_ARENA_MAX = M_ARENA_MAX;
static inline int cl_mallopt(int parameter, int value) { return mallopt(parameter, value); }
static inline int cl_set_default_thread(const pthread_attr_t *attributes) {
    return pthread_setattr_default_np(attributes);
}

// pthread_attr_setsigmask_np(3)
static inline int cl_set_signal_mask(pthread_attr_t *attributes, const sigset_t *mask) {
    return pthread_attr_setsigmask_np(attributes, mask);
}

// madvise(2)
static const int cl_MADV_HUGEPAGE = MADV_HUGEPAGE;
static const int cl_MADV_NOHUGEPAGE = MADV_NOHUGEPAGE;
static const int cl_MADV_POPULATE_WRITE = MADV_POPULATE_WRITE;
static inline int cl_errno(void) { return errno; }

#endif
