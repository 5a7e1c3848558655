import CUring
import Glibc

/// Checks once, before a run depends on it, that a ring works after setup.
enum UringTrial {
    private static let secondsMax: Int64 = 5
    /// For kernels or filters that only ever return EAGAIN.
    private static let retrySecondsMax = 1.0

    /// Nil if the ring can be used; else the reason.
    @unsafe
    static func refusal(_ ring: UnsafeMutablePointer<io_uring>) -> SystemError? {
        guard unsafe knowsOperations(ring) else { return SystemError(EOPNOTSUPP) }
        return unsafe noOperation(ring)
    }

    /// The operations that `UringQueue` needs. If a filter refuses the query (io_uring_register(2)), the ring's feature flags,
    /// introduced with the same kernels, decide.
    @unsafe
    private static func knowsOperations(_ ring: UnsafeMutablePointer<io_uring>) -> Bool {
        guard let probe = unsafe io_uring_get_probe_ring(ring) else {
            return unsafe ring.pointee.features & cu_feat_rw_cur_pos != 0
        }
        defer { unsafe io_uring_free_probe(probe) }
        return [cu_op_write, cu_op_read, cu_op_fsync, cu_op_fallocate, cu_op_poll_add]
            .allSatisfy { unsafe io_uring_opcode_supported(probe, $0) != 0 }
    }

    /// Submits a no-op and waits for it with the calls that a run uses: a filter may allow io_uring_setup(2) and refuse
    /// io_uring_enter(2). A kernel worker thread executes it. Flushes, zeroing and many writes need one, and the first worker
    /// lives as long as the ring. If the kernel cannot create it (pids.max, RLIMIT_NPROC), these requests would end with
    /// ECANCELED.
    @unsafe
    private static func noOperation(_ ring: UnsafeMutablePointer<io_uring>) -> SystemError? {
        guard let entry = unsafe io_uring_get_sqe(ring) else { return SystemError(ENOMEM) }
        unsafe io_uring_prep_nop(entry)
        unsafe io_uring_sqe_set_flags(entry, cu_sqe_async)
        let deadline = Instant.after(seconds: retrySecondsMax)
        while true {
            var time = __kernel_timespec(tv_sec: secondsMax, tv_nsec: 0)
            var first: UnsafeMutablePointer<io_uring_cqe>?
            let code = unsafe io_uring_submit_and_wait_timeout(ring, &first, 1, &time, nil)
            if code == -EINTR || code == -EAGAIN, Instant.now < deadline {
                usleep(1000)
                continue
            }
            // No completion in time, or no worker thread: unusable for now.
            if code == -ETIME { return SystemError(EAGAIN) }
            if code < 0 { return SystemError(-code) }
            guard let completion = unsafe first else { return SystemError(EAGAIN) }
            let result = unsafe completion.pointee.res
            unsafe io_uring_cqe_seen(ring, completion)
            return result == -ECANCELED ? SystemError(EAGAIN) : result < 0 ? SystemError(-result) : nil
        }
    }
}
