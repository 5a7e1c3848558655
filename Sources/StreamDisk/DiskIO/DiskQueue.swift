import CLinux

/// The one seam between deciding and acting: all I/O on a disk goes through here.
///
/// `UringQueue` uses io_uring, `PwriteQueue` is used where io_uring is refused, and tests provide a simulated disk. A queue is
/// used by one thread, the writer's; only `waker` may be used by others.
package protocol DiskQueue: ~Copyable {
    /// The engine's name for reports: `io_uring` or `pwrite`.
    var engineName: String { get }
    /// How many requests may be outstanding. Submitting more is a programming error.
    var capacity: Int { get }
    /// Wakes a waiting `reap`. May be called from any thread; if nothing is waiting, the next `reap` returns at once.
    var waker: any QueueWaker { get }

    /// Submits a request. It may start immediately or at the next `reap`.
    mutating func submit(_ request: DiskRequest)

    /// Appends finished requests to `completions`, in the order in which they finished. Waits until one finishes, the waker is
    /// used, or `deadline` passes. With a deadline in the past, it only polls.
    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion])
}

/// A request to the disk. Offset and length are multiples of the disk's block size.
package struct DiskRequest {
    enum Operation: Sendable, Equatable {
        case write, read, flush
        /// Zeroes the range without transferring zeros. Afterwards the range reads as zeros, or the request has failed.
        case zero(ZeroMethod)
    }

    var operation: Operation
    /// Which of the queue's files, from 0.
    var file = 0
    /// Byte position in that file. To `RequestTable`: an address (`DiskGeometry`).
    var offset: UInt64
    /// The memory, kept alive until the completion is reaped. Nil for flushing and zeroing.
    var buffer: DirectBuffer?
    var bufferOffset: Int
    var lengthBytes: Int
    /// Returned with the completion: index and generation in the request table.
    var tag: UInt64
}

/// How the device is asked to zero a range: fallocate(2), which block devices support, too (block/fops.c). Best first.
enum ZeroMethod: Sendable, CaseIterable {
    /// Deallocates. A block device fails rather than write zeros.
    case punchHole
    /// Zeroes and keeps the space allocated. The kernel may write zeros itself.
    case zeroRange

    var fallocateMode: Int32 {
        switch self {
        case .punchHole: cl_FALLOC_FL_PUNCH_HOLE | cl_FALLOC_FL_KEEP_SIZE
        case .zeroRange: cl_FALLOC_FL_ZERO_RANGE | cl_FALLOC_FL_KEEP_SIZE
        }
    }
}

/// A finished request: its tag, and the number of bytes moved or the error. The tag is the request's only identity.
package struct DiskCompletion: Sendable {
    let tag: UInt64
    let result: Result<Int, SystemError>
}
