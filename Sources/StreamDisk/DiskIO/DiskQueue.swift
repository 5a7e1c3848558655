import CLinux

/// The one seam between what decides and what acts: everything the library asks of a disk goes through here.
///
/// `UringQueue` is the real one, `PwriteQueue` serves where io_uring is refused, and tests put a simulated disk behind it.
/// Used by one thread, the writer's; only `waker` may be used by others.
package protocol DiskQueue: ~Copyable {
    /// Which engine runs, for reports: `io_uring`, `pwrite`.
    var engineName: String { get }
    /// How many requests may be outstanding. `submit` past that is a programming error.
    var capacity: Int { get }
    /// Wakes a waiting `reap`. May be called from any thread; if nothing is waiting, the next `reap` returns at once.
    var waker: any QueueWaker { get }

    /// Hands over a request. It may start at once or at the next `reap`.
    mutating func submit(_ request: DiskRequest)

    /// Appends finished requests to `completions`, in the order they finished. Waits for one, for the waker or for `deadline`,
    /// whichever is first; an expired deadline only looks.
    mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion])
}

/// One request to the disk. Offset and length are multiples of the disk's block size.
package struct DiskRequest {
    enum Operation: Sendable, Equatable {
        case write, read, flush
        /// Zeroes the range without writing zeros from here; the range reads as zeros afterwards, or it is an error.
        case zero(ZeroMethod)
    }

    var operation: Operation
    /// Which of the queue's files, from 0.
    var file = 0
    /// Byte position in that file. To `RequestTable`: an address (`DiskGeometry`).
    var offset: UInt64
    /// The memory, held until the completion was reaped. Nil for a flush and for zeroing.
    var buffer: DirectBuffer?
    var bufferOffset: Int
    var lengthBytes: Int
    /// Comes back with the completion: slot and generation of the writer's table.
    var tag: UInt64
}

/// How a device is asked to zero a range: fallocate(2), which block devices understand too (block/fops.c). Best first.
enum ZeroMethod: Sendable, CaseIterable {
    /// Deallocates. On a block device it fails rather than write zeros.
    case punchHole
    /// Zeroes and keeps the space. The kernel may write zeros itself.
    case zeroRange

    var fallocateMode: Int32 {
        switch self {
        case .punchHole: cl_FALLOC_FL_PUNCH_HOLE | cl_FALLOC_FL_KEEP_SIZE
        case .zeroRange: cl_FALLOC_FL_ZERO_RANGE | cl_FALLOC_FL_KEEP_SIZE
        }
    }
}

/// A finished request: which, and the bytes moved or the error. Nothing else tells them apart, so identity is never lost.
package struct DiskCompletion: Sendable {
    let tag: UInt64
    let result: Result<Int, SystemError>
}
