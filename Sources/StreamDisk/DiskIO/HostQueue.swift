/// How a disk is written and read.
public enum WriteEngine: String, Sendable, CaseIterable {
    /// io_uring, else pwrite where the kernel refuses it.
    case automatic
    case uring
    case pwrite
}

/// The disk of this host: through io_uring, or through pwrite where the kernel refuses that.
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

    // One of the two is there. To ask costs nothing beside a request of a MiB.
    package mutating func submit(_ request: DiskRequest) {
        uring?.submit(request)
        pwrite?.submit(request)
    }

    package mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        uring?.reap(until: deadline, into: &completions)
        pwrite?.reap(until: deadline, into: &completions)
    }

    /// Requests in the queue at once; their bytes have a bound of their own.
    private static let depth = 64

    /// The engine that was asked for; where the choice is free, io_uring, or pwrite and a word why.
    ///
    /// - Parameter descriptors: the files that requests name by their place here.
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
