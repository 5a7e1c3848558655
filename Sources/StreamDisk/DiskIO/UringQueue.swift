import CLinux
import CUring

/// The disk through io_uring(7): one ring, created and used on the writer's thread only.
///
/// Uses registered files if the kernel allows it, and `SINGLE_ISSUER
/// DEFER_TASKRUN` if it supports them, so that completions are processed only when this thread asks for them.
@safe
package struct UringQueue: DiskQueue, ~Copyable {
    /// Never a tag of a request, and not UInt64.max, with which liburing marks its timeouts (LIBURING_UDATA_TIMEOUT).
    private static let wakeTag = UInt64.max - 1

    package let engineName = "io_uring"
    package let capacity: Int
    package var waker: any QueueWaker { eventWaker }

    // SAFETY: allocated in `init`, has a stable address, and is released in `deinit` after `io_uring_queue_exit`, when no
    // transfer can be outstanding (the writer drains the queue before it drops it). The waker's poll refers to no memory, so
    // the kernel may end it at any time.
    private let ring: UnsafeMutablePointer<io_uring>
    private let eventWaker: EventWaker
    /// What the SQEs name of each file: its index among the registered ones, or its descriptor.
    private let files: [Int32]
    private let fileFlags: UInt32
    private var wakeArmed = false

    /// Flags for io_uring_setup(2), best first. Completions are processed only when the writer asks for them; else at its next
    /// system call; else by interrupting it.
    package static let setupFlags = [cu_setup_single_issuer | cu_setup_defer_taskrun, cu_setup_coop_taskrun, 0]

    /// The ring is tried out first: one that can be set up but not entered, or does not support writes, is refused here.
    ///
    /// - Parameter setups: flag sets to try in turn. Older kernels return EINVAL for unknown flags.
    /// - Throws: the errno with which the kernel refuses io_uring (EPERM by sysctl or seccomp, ENOSYS, ENOMEM); EOPNOTSUPP if
    ///   it lacks an operation (before Linux 5.6).
    package init(
        fileDescriptors: [Int32], capacity: Int, setups: [UInt32] = Self.setupFlags, registersFile: Bool = true
    ) throws(SystemError) {
        precondition(capacity > 0 && capacity <= 1024)
        let waker = try EventWaker()
        let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        let entries = UInt32(capacity + 1)
        var code: Int32 = -EINVAL
        for flags in setups {
            unsafe ring.initialize(to: io_uring())
            code = unsafe io_uring_queue_init(entries, ring, flags)
            if code != -EINVAL { break }
        }
        guard code == 0 else {
            unsafe ring.deallocate()
            throw SystemError(-code)
        }
        do throws(SystemError) {
            let number = try unsafe Descriptor.aboveStandard(ring.pointee.ring_fd)
            unsafe (ring.pointee.ring_fd, ring.pointee.enter_ring_fd) = (number, number)
        } catch {
            // It is closed by now.
            unsafe ring.pointee.ring_fd = -1
            unsafe io_uring_queue_exit(ring)
            unsafe ring.deallocate()
            throw error
        }
        if let error = unsafe UringTrial.refusal(ring) {
            unsafe io_uring_queue_exit(ring)
            unsafe ring.deallocate()
            throw error
        }
        let count = fileDescriptors.count
        let registered = unsafe registersFile && io_uring_register_files(ring, fileDescriptors, UInt32(count)) == 0
        // Saves a descriptor look-up per call; ignored where unknown.
        unsafe io_uring_register_ring_fd(ring)

        unsafe self.ring = ring
        eventWaker = waker
        files = registered ? (0..<Int32(count)).map { $0 } : fileDescriptors
        fileFlags = registered ? cu_sqe_fixed_file : 0
        self.capacity = capacity
    }

    deinit {
        // The kernel releases a ring later, on a thread of its own (after some 50 ms), but the disk must be free when the run
        // has ended.
        unsafe io_uring_unregister_files(ring)
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
    }

    package mutating func submit(_ request: DiskRequest) {
        let entry = unsafe nextEntry()
        let file = files[request.file]
        switch (request.operation, request.buffer) {
        case (.flush, _):
            unsafe io_uring_prep_fsync(entry, file, 0)
        case (.write, let buffer?):
            let memory = unsafe buffer.address(request.bufferOffset, count: request.lengthBytes)
            unsafe io_uring_prep_write(entry, file, memory, UInt32(request.lengthBytes), request.offset)
        case (.read, let buffer?):
            let memory = unsafe buffer.address(request.bufferOffset, count: request.lengthBytes)
            unsafe io_uring_prep_read(entry, file, memory, UInt32(request.lengthBytes), request.offset)
        case (.zero(let method), _):
            unsafe io_uring_prep_fallocate(
                entry, file, method.fallocateMode, off_t(request.offset), off_t(request.lengthBytes))
        case (.write, nil), (.read, nil):
            preconditionFailure("a transfer without memory")
        }
        unsafe io_uring_sqe_set_flags(entry, fileFlags)
        unsafe io_uring_sqe_set_data64(entry, request.tag)
    }

    package mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        armWake()
        let before = completions.count
        while true {
            let left = deadline.seconds(since: .now)
            let code = unsafe left > 0 ? wait(seconds: left) : io_uring_submit_and_get_events(ring)
            let woken = collect(into: &completions)
            if completions.count > before || woken || code == -ETIME || left <= 0 { return }
            // EINTR, EAGAIN and EBUSY are transient. Any other error is a broken ring, which no caller can repair.
            precondition(
                code >= 0 || code == -EINTR || code == -EAGAIN || code == -EBUSY, "io_uring_enter: errno \(-code)")
        }
    }

    private mutating func wait(seconds: Double) -> Int32 {
        var time = __kernel_timespec()
        time.tv_sec = Int64(seconds)
        time.tv_nsec = Int64((seconds - Double(time.tv_sec)) * 1e9)
        var first: UnsafeMutablePointer<io_uring_cqe>?
        return unsafe io_uring_submit_and_wait_timeout(ring, &first, 1, &time, nil)
    }

    /// Takes all available completions. Returns whether the waker's was among them.
    private mutating func collect(into completions: inout [DiskCompletion]) -> Bool {
        var woken = false
        var entry: UnsafeMutablePointer<io_uring_cqe>?
        while unsafe io_uring_peek_cqe(ring, &entry) == 0, let found = unsafe entry {
            let tag = unsafe found.pointee.user_data
            let result = unsafe found.pointee.res
            unsafe io_uring_cqe_seen(ring, found)
            if tag == Self.wakeTag {
                woken = true
                wakeArmed = false
                eventWaker.reset()
            } else {
                completions.append(
                    DiskCompletion(tag: tag, result: result < 0 ? .failure(SystemError(-result)) : .success(Int(result))))
            }
        }
        return woken
    }

    /// Keeps one poll of the waker's eventfd outstanding. Its completion is the wake-up.
    private mutating func armWake() {
        guard !wakeArmed else { return }
        let entry = unsafe nextEntry()
        unsafe io_uring_prep_poll_add(entry, eventWaker.descriptor, UInt32(POLLIN))
        unsafe io_uring_sqe_set_data64(entry, Self.wakeTag)
        wakeArmed = true
    }

    @unsafe
    private func nextEntry() -> UnsafeMutablePointer<io_uring_sqe> {
        // The submission queue has room for `capacity` requests and the waker's poll, and each `reap` empties it.
        guard let entry = unsafe io_uring_get_sqe(ring) else { preconditionFailure("more requests than capacity") }
        return unsafe entry
    }
}

/// Wakes through an eventfd(2) that the ring polls.
final class EventWaker: QueueWaker {
    let descriptor: Int32

    init() throws(SystemError) {
        let number = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        if number < 0 { throw .current }
        descriptor = try Descriptor.aboveStandard(number)
    }

    deinit { close(descriptor) }

    func wake() {
        var one: UInt64 = 1
        // EAGAIN means that the counter is full, so a wake-up is already pending.
        unsafe write(descriptor, &one, 8)
    }

    /// Clears all wake-ups so far. The caller must then check its state.
    fileprivate func reset() {
        var count: UInt64 = 0
        unsafe read(descriptor, &count, 8)
    }
}
