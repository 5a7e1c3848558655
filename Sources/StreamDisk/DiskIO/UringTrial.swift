import CUring
import Glibc

/// Whether a ring that was set up can be used for a run: asked once, before anything depends on it.
enum UringTrial {
    private static let secondsMax: Int64 = 5
    /// For a kernel, or a filter, that only ever says "try again".
    private static let retrySecondsMax = 1.0

    /// Nil where it can be used; else why not.
    @unsafe
    static func refusal(_ ring: UnsafeMutablePointer<io_uring>) -> SystemError? {
        guard unsafe knowsOperations(ring) else { return SystemError(EOPNOTSUPP) }
        return unsafe noOperation(ring)
    }

    /// The operations that `UringQueue` asks for. A filter may refuse the question (io_uring_register(2)): then the features
    /// that came with them tell.
    @unsafe
    private static func knowsOperations(_ ring: UnsafeMutablePointer<io_uring>) -> Bool {
        guard let probe = unsafe io_uring_get_probe_ring(ring) else {
            return unsafe ring.pointee.features & cu_feat_rw_cur_pos != 0
        }
        defer { unsafe io_uring_free_probe(probe) }
        return [cu_op_write, cu_op_read, cu_op_fsync, cu_op_fallocate, cu_op_poll_add]
            .allSatisfy { unsafe io_uring_opcode_supported(probe, $0) != 0 }
    }

    /// Sends a request that does nothing and waits for it, by the calls that a run uses: a filter may grant io_uring_setup(2)
    /// and refuse io_uring_enter(2). A thread of the kernel's shall do it: flushes, zeroing and much of the writing need one, the
    /// first stays as long as the ring, and where it is refused (pids.max, RLIMIT_NPROC) they would end with ECANCELED.
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
            // Not in time, or no thread for it: not now.
            if code == -ETIME { return SystemError(EAGAIN) }
            if code < 0 { return SystemError(-code) }
            guard let completion = unsafe first else { return SystemError(EAGAIN) }
            let result = unsafe completion.pointee.res
            unsafe io_uring_cqe_seen(ring, completion)
            return result == -ECANCELED ? SystemError(EAGAIN) : result < 0 ? SystemError(-result) : nil
        }
    }
}
