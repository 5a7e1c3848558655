// liburing for Swift: the header itself (its static inlines import directly), and typed constants for flags that are
// macros or in anonymous enums. Source: io_uring(7), io_uring_setup(2), io_uring_enter(2). No logic.
#ifndef CURING_H
#define CURING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
// Under _GNU_SOURCE glibc declares the members of fd_set differently than in Swift's Glibc module, and Swift refuses to
// import two modules that disagree. This module does not use it, and imports it under another name.
#define fd_set cu_fd_set
#include <liburing.h>
#include <stdint.h>
#undef fd_set

static const uint32_t cu_setup_single_issuer = IORING_SETUP_SINGLE_ISSUER;
static const uint32_t cu_setup_defer_taskrun = IORING_SETUP_DEFER_TASKRUN;
static const uint32_t cu_setup_coop_taskrun = IORING_SETUP_COOP_TASKRUN;
static const uint32_t cu_setup_sqpoll = IORING_SETUP_SQPOLL;
static const uint32_t cu_sqe_fixed_file = IOSQE_FIXED_FILE;
static const uint32_t cu_sqe_async = IOSQE_ASYNC;
// io_uring_setup(2): added in Linux 5.6, together with non-vectored read and write, fallocate, and the probe.
static const uint32_t cu_feat_rw_cur_pos = IORING_FEAT_RW_CUR_POS;
static const int cu_op_fsync = IORING_OP_FSYNC, cu_op_poll_add = IORING_OP_POLL_ADD, cu_op_fallocate = IORING_OP_FALLOCATE,
                 cu_op_read = IORING_OP_READ, cu_op_write = IORING_OP_WRITE;

#endif
