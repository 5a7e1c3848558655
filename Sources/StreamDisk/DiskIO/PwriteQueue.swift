import CLinux
import Glibc

/// The disk through pwrite(2), pread(2) and fsync(2) on a small pool of threads, for kernels and sandboxes that refuse
/// io_uring. Same contract, same tests.
package struct PwriteQueue: DiskQueue, ~Copyable {
    private struct State {
        var waiting: [DiskRequest] = []
        var finished: [DiskCompletion] = []
        var woken = false
        var closed = false
    }

    private final class Waker: QueueWaker {
        let state: Monitor<State>
        init(_ state: Monitor<State>) { self.state = state }
        func wake() { state.mutateAndNotify { $0.woken = true } }
    }

    package let engineName = "pwrite"
    package let capacity: Int
    package let waker: any QueueWaker
    private let state: Monitor<State>
    private let threads: ThreadList

    package init(fileDescriptors: [Int32], capacity: Int, threads count: Int = 4) throws(SystemError) {
        precondition(capacity > 0 && count > 0)
        let state = Monitor(State())
        var threads = ThreadList()
        for index in 0..<count {
            do {
                try threads.append(WorkerThread(name: "sd-pwrite-\(index)") { Self.work(state, fileDescriptors) })
            } catch {
                // Fewer threads are enough; none at all is an error.
                if index == 0 { throw error }
            }
        }
        self.state = state
        self.threads = threads
        self.capacity = capacity
        waker = Waker(state)
    }

    deinit {
        state.mutateAndNotify { $0.closed = true }
        threads.joinAll()
    }

    package mutating func submit(_ request: DiskRequest) {
        state.mutateAndNotify { $0.waiting.append(request) }
    }

    package mutating func reap(until deadline: Instant, into completions: inout [DiskCompletion]) {
        let found = state.wait(until: deadline) { state -> [DiskCompletion]? in
            guard !state.finished.isEmpty || state.woken else { return nil }
            state.woken = false
            defer { state.finished.removeAll(keepingCapacity: true) }
            return state.finished
        }
        completions.append(contentsOf: found ?? [])
    }

    private static func work(_ state: Monitor<State>, _ descriptors: [Int32]) {
        while true {
            let next = state.wait { state -> DiskRequest?? in
                if !state.waiting.isEmpty { return .some(state.waiting.removeFirst()) }
                return state.closed ? .some(nil) : nil
            }
            guard let request = next else { return }
            let result = perform(request, descriptors[request.file])
            state.mutateAndNotify { $0.finished.append(DiskCompletion(tag: request.tag, result: result)) }
        }
    }

    private static func perform(_ request: DiskRequest, _ descriptor: Int32) -> Result<Int, SystemError> {
        // SAFETY: the request holds its buffer, and the caller leaves these bytes alone until the completion.
        let moved: Int
        switch (request.operation, request.buffer) {
        case (.flush, _):
            moved = Int(fsync(descriptor))
        case (.write, let buffer?):
            moved = unsafe pwrite(
                descriptor, buffer.address(request.bufferOffset, count: request.lengthBytes), request.lengthBytes,
                off_t(request.offset))
        case (.read, let buffer?):
            moved = unsafe pread(
                descriptor, buffer.address(request.bufferOffset, count: request.lengthBytes), request.lengthBytes,
                off_t(request.offset))
        case (.zero(let method), _):
            moved = Int(
                cl_fallocate(descriptor, method.fallocateMode, off_t(request.offset), off_t(request.lengthBytes)))
        case (.write, nil), (.read, nil):
            preconditionFailure("a transfer without memory")
        }
        return moved < 0 ? .failure(.current) : .success(moved)
    }
}
