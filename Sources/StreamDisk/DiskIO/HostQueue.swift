/// The kernel interface used to write and read a disk.
package enum WriteEngine: String, Sendable, CaseIterable {
    /// io_uring, or pwrite if the kernel refuses it.
    case automatic
    case uring
    case pwrite
}

/// The names of the engines as a user sets them.
package enum EngineName: String, Sendable, CaseIterable {
    case auto
    case uring = "io_uring"
    case pwrite

    package var engine: WriteEngine {
        switch self {
        case .auto: .automatic
        case .uring: .uring
        case .pwrite: .pwrite
        }
    }
}

/// A disk of this host, through io_uring, or through pwrite if the kernel refuses io_uring.
package struct HostQueue: DiskQueue, ~Copyable {
    package let engineName: String
    package let capacity: Int
    package let waker: any QueueWaker
    private var uring: UringQueue?
    private var pwrite: PwriteQueue?

    package init(uring queue: consuming UringQueue) {
        (engineName, capacity, waker) = (queue.engineName, queue.capacity, queue.waker)
        uring = consume queue
        pwrite = nil
    }

    package init(pwrite queue: consuming PwriteQueue) {
        (engineName, capacity, waker) = (queue.engineName, queue.capacity, queue.waker)
        uring = nil
        pwrite = consume queue
    }

    // Exactly one of the two is set. The check costs nothing beside a request of 1 MiB.
    package mutating func submit(_ request: DiskRequest) {
        uring?.submit(request)
        pwrite?.submit(request)
    }

    package mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        uring?.reap(until: deadline, into: &completions)
        pwrite?.reap(until: deadline, into: &completions)
    }

    /// Maximum number of requests in the queue. Their bytes are limited separately.
    private static let depth = 64

    /// Opens the requested engine. With `.automatic`, falls back from io_uring to pwrite and reports why.
    static func open(
        _ descriptors: [Int32], engine: WriteEngine, note: (SystemError) -> Void
    ) throws(StreamFault) -> HostQueue {
        if engine != .pwrite {
            do throws(SystemError) {
                return HostQueue(uring: try UringQueue(fileDescriptors: descriptors, capacity: depth))
            } catch {
                if engine == .uring { throw .host(operation: "set up io_uring", cause: error) }
                note(error)
            }
        }
        do throws(SystemError) {
            return HostQueue(pwrite: try PwriteQueue(fileDescriptors: descriptors, capacity: depth))
        } catch {
            throw .host(operation: "start a thread", cause: error)
        }
    }
}
