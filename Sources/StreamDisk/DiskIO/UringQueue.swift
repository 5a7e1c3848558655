import CLinux
import CUring

/// The disk through io_uring(7): one ring, created on and used by the writer's thread only.
///
/// Registered files where the kernel grants it; `SINGLE_ISSUER | DEFER_TASKRUN` where it knows them, so that
/// completions are only worked on when this thread asks for them.
@safe
package struct UringQueue: DiskQueue, ~Copyable {
    /// No tag of the writer's, and not liburing's own: UInt64.max marks its time-outs (LIBURING_UDATA_TIMEOUT).
    private static let wakeTag = UInt64.max - 1

    package let engineName = "io_uring"
    package let capacity: Int
    package var waker: any QueueWaker { eventWaker }

    // SAFETY: allocated in `init`, has a stable address, and is released in `deinit` after `io_uring_queue_exit`, when no
    // transfer of ours can be outstanding (the writer drains before it drops us). The waker's poll names no memory, so the
    // kernel may end it when it likes.
    private let ring: UnsafeMutablePointer<io_uring>
    private let eventWaker: EventWaker
    /// What the SQEs name of each file: its index among the registered ones, or its descriptor.
    private let files: [Int32]
    private let fileFlags: UInt32
    private var wakeArmed = false

    /// What a ring asks of io_uring_setup(2), best first: completions are worked on only when the writer asks for them, else at
    /// its next system call, else by interrupting it.
    package static let setupFlags = [cu_setup_single_issuer | cu_setup_defer_taskrun, cu_setup_coop_taskrun, 0]

    /// The ring is tried before it is used: one that can be set up, and not entered or not asked for writes, is refused here.
    ///
    /// - Parameter setups: flags to try in turn: an older kernel answers EINVAL to what it does not know.
    /// - Throws: the errno with which the kernel refuses io_uring (EPERM by sysctl or seccomp, ENOSYS, ENOMEM); EOPNOTSUPP
    ///   where it lacks an operation (before Linux 5.6).
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
        // The kernel takes a ring down later, on a thread of its own (some 50 ms); the disk must be free when the run has ended.
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
            // EINTR, EAGAIN and EBUSY pass; anything else is a broken ring, which no caller can mend.
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

    /// Takes every completion there is. Returns whether the waker was among them.
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

    /// Keeps one poll of the waker's eventfd outstanding: its completion is the wake.
    private mutating func armWake() {
        guard !wakeArmed else { return }
        let entry = unsafe nextEntry()
        unsafe io_uring_prep_poll_add(entry, eventWaker.descriptor, UInt32(POLLIN))
        unsafe io_uring_sqe_set_data64(entry, Self.wakeTag)
        wakeArmed = true
    }

    @unsafe
    private func nextEntry() -> UnsafeMutablePointer<io_uring_sqe> {
        // The submission queue holds `capacity` requests and the wake's poll, and is emptied by each `reap`.
        guard let entry = unsafe io_uring_get_sqe(ring) else { preconditionFailure("more requests than capacity") }
        return unsafe entry
    }
}

/// Wakes by an eventfd(2) that the ring polls.
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
        // EAGAIN means the counter is full: then a wake is pending anyway.
        unsafe write(descriptor, &one, 8)
    }

    /// Takes back every wake so far; the caller has yet to look at what they were for.
    fileprivate func reset() {
        var count: UInt64 = 0
        unsafe read(descriptor, &count, 8)
    }
}
