import CLinux
import Foundation
import Glibc
import Synchronization
import Testing

@testable import StreamDisk
@testable import TestSupport

/// Both engines under the same tests: io_uring(7), and pwrite(2) on threads.
@Suite("Queues on real files and devices", .serialized)
struct HostQueueTests {
    enum Engine: String, CaseIterable, Sendable { case uring, pwrite }

    private func request(
        _ operation: DiskRequest.Operation, at offset: Int, _ buffer: DirectBuffer? = nil, from bufferOffset: Int = 0,
        count: Int = 0, tag: UInt64 = 1
    ) -> DiskRequest {
        DiskRequest(
            operation: operation, offset: UInt64(offset), buffer: buffer, bufferOffset: bufferOffset, lengthBytes: count,
            tag: tag)
    }

    private func withDescriptor<Value>(_ path: String, _ flags: Int32, _ body: (Int32) throws -> Value) throws -> Value {
        let descriptor = unsafe cl_open(path, flags | O_CLOEXEC, 0)
        try #require(descriptor >= 0, "open \(path): \(SystemError.current)")
        defer { close(descriptor) }
        return try body(descriptor)
    }

    private func withFile<Value>(
        sizeBytes: Int, flags: Int32 = O_RDWR, _ body: (Int32, URL) throws -> Value
    ) throws -> Value {
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "file")
            try Data(count: sizeBytes).write(to: file)
            return try withDescriptor(file.path, flags) { try body($0, file) }
        }
    }

    private func sha256(_ bytes: [UInt8]) throws -> String {
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "bytes")
            try Data(bytes).write(to: file)
            return try sha256(file.path)
        }
    }

    private func sha256(_ path: String) throws -> String { String(try run("sha256sum", [path]).prefix(64)) }

    // MARK: Transfers

    /// Writes 4 MiB in pieces of many sizes and in no order, has another tool look at them, and reads them back.
    private func roundTrip(_ engine: Engine, _ descriptor: Int32, path: String, block: Int) throws {
        let size = 4 << 20
        var random = SplitMix64(state: 5)
        let bytes = sampleBytes(size, seed: 6)
        let buffer = try DirectBuffer(sizeBytes: size)
        buffer.write(bytes, at: 0)
        var pieces: [(at: Int, count: Int)] = []
        while let end = Optional(pieces.last.map { $0.at + $0.count } ?? 0), end < size {
            pieces.append((end, min(size - end, (1 + random.magnitude(40)) * block)))
        }
        pieces.shuffle(using: &random)
        var queue = try HostQueue(engine, descriptor, capacity: 32)
        #expect(queue.capacity == 32)
        func transfer(_ operation: DiskRequest.Operation) {
            for start in stride(from: 0, to: pieces.count, by: 32) {
                let batch = pieces[start..<min(start + 32, pieces.count)]
                for (index, piece) in zip(batch.indices, batch) {
                    queue.submit(
                        request(
                            operation, at: piece.at, buffer, from: piece.at, count: piece.count, tag: UInt64(index) << 32 | 7))
                }
                let done = queue.finish(batch.count)
                for (index, piece) in zip(batch.indices, batch) {
                    #expect(done[UInt64(index) << 32 | 7] == .success(piece.count))
                }
            }
        }
        transfer(.write)
        #expect(queue.finishOne(request(.flush, at: 0, tag: 3)) == .success(0))
        #expect(try sha256(path) == (try sha256(bytes)))
        buffer.zero(0, count: size)
        transfer(.read)
        #expect(isSame(unsafe bytes.span.bytes, buffer.bytes(0, count: size), at: 0))
    }

    @Test("Writes arrive and reads return them, in a file", arguments: Engine.allCases)
    func file(engine: Engine) throws {
        try withFile(sizeBytes: 4 << 20) { descriptor, file in
            try roundTrip(engine, descriptor, path: file.path, block: 512)
        }
    }

    @Test(
        "Writes arrive and reads return them, on a device with O_DIRECT", .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
        arguments: Engine.allCases, [512, 4096])
    func device(engine: Engine, block: Int) throws {
        try LoopDevice.with(sizeBytes: 4 << 20, sectorSize: block) { device in
            try withDescriptor(device.path, O_RDWR | cl_O_DIRECT) { descriptor in
                try roundTrip(engine, descriptor, path: device.path, block: block)
            }
        }
    }

    @Test("What dd wrote is what is read", arguments: Engine.allCases)
    func readsWhatOthersWrote(engine: Engine) throws {
        try withFile(sizeBytes: 0, flags: O_RDONLY) { descriptor, file in
            try run("dd", ["if=/dev/urandom", "of=\(file.path)", "bs=4096", "count=64", "status=none"])
            let buffer = try DirectBuffer(sizeBytes: 64 * 4096)
            var queue = try HostQueue(engine, descriptor, capacity: 1)
            #expect(queue.finishOne(request(.read, at: 0, buffer, count: 64 * 4096)) == .success(64 * 4096))
            #expect(try sha256(buffer.bytes(0, count: 64 * 4096)) == (try sha256(file.path)))
            // At the end of a file a read is short, behind it empty.
            #expect(queue.finishOne(request(.read, at: 63 * 4096, buffer, count: 8192)) == .success(4096))
            #expect(queue.finishOne(request(.read, at: 64 * 4096, buffer, count: 4096)) == .success(0))
        }
    }

    @Test("Every method of zeroing zeroes the range and nothing else, or says that it is not known", arguments: Engine.allCases)
    func zeroing(engine: Engine) throws {
        try withFile(sizeBytes: 64 * 4096) { descriptor, file in
            let ones = [UInt8](repeating: 1, count: 64 * 4096)
            for method in ZeroMethod.allCases {
                try Data(ones).write(to: file, options: [])
                try withDescriptor(file.path, O_RDWR) { descriptor in
                    var queue = try HostQueue(engine, descriptor, capacity: 4)
                    let result = queue.finishOne(request(.zero(method), at: 8192, count: 16384))
                    var expected = ones
                    if result == .success(0) {
                        expected.replaceSubrange(8192..<24576, with: [UInt8](repeating: 0, count: 16384))
                    } else {
                        #expect(result == .failure(SystemError(EOPNOTSUPP)))
                    }
                    #expect([UInt8](try Data(contentsOf: file)) == expected)
                }
            }
        }
    }

    // MARK: Many at once

    @Test(
        "As many requests as the capacity says are taken at once, again and again", arguments: Engine.allCases, [1, 2, 64, 200])
    func capacity(engine: Engine, capacity: Int) throws {
        try withFile(sizeBytes: 200 * 512) { descriptor, file in
            let buffer = try DirectBuffer(sizeBytes: 200 * 512)
            var queue = try HostQueue(engine, descriptor, capacity: capacity)
            for round in 1...5 {
                buffer.write([UInt8](repeating: UInt8(round), count: 200 * 512), at: 0)
                for index in 0..<capacity {
                    queue.submit(request(.write, at: index * 512, buffer, from: index * 512, count: 512, tag: UInt64(index)))
                }
                let done = queue.finish(capacity)
                #expect(done.count == capacity)
                #expect(done.values.allSatisfy { $0 == .success(512) })
            }
            let written = [UInt8](try Data(contentsOf: file)).prefix(capacity * 512)
            #expect(written.allSatisfy { $0 == 5 })
        }
    }

    // MARK: Errors

    @Test("Errors come back with the request they belong to", arguments: Engine.allCases)
    func errors(engine: Engine) throws {
        try withFile(sizeBytes: 8192, flags: O_RDONLY) { descriptor, _ in
            let buffer = try DirectBuffer(sizeBytes: 8192)
            var queue = try HostQueue(engine, descriptor, capacity: 8)
            queue.submit(request(.write, at: 0, buffer, count: 4096, tag: 11))
            queue.submit(request(.read, at: 0, buffer, count: 4096, tag: 12))
            queue.submit(request(.write, at: 4096, buffer, count: 4096, tag: 13))
            let done = queue.finish(3)
            #expect(done[11] == .failure(SystemError(EBADF)))
            #expect(done[12] == .success(4096))
            #expect(done[13] == .failure(SystemError(EBADF)))
        }
    }

    @Test(
        "Past the end of a device a write is an error, and one across the end is short",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs), arguments: Engine.allCases)
    func pastTheEnd(engine: Engine) throws {
        try LoopDevice.with(sizeBytes: 1 << 20) { device in
            try withDescriptor(device.path, O_RDWR | cl_O_DIRECT) { descriptor in
                let buffer = try DirectBuffer(sizeBytes: 8192)
                var queue = try HostQueue(engine, descriptor, capacity: 4)
                let end = 1 << 20
                #expect(queue.finishOne(request(.write, at: end, buffer, count: 4096)) == .failure(SystemError(ENOSPC)))
                #expect(queue.finishOne(request(.write, at: end - 4096, buffer, count: 8192)) == .success(4096))
                #expect(queue.finishOne(request(.read, at: end, buffer, count: 4096)) == .success(0))
            }
        }
    }

    @Test(
        "A write that is not in whole blocks of the device is refused", .enabled(if: LoopDevice.isAvailable, LoopDevice.needs),
        arguments: Engine.allCases)
    func misaligned(engine: Engine) throws {
        try LoopDevice.with(sizeBytes: 1 << 20, sectorSize: 4096) { device in
            try withDescriptor(device.path, O_RDWR | cl_O_DIRECT) { descriptor in
                let buffer = try DirectBuffer(sizeBytes: 8192)
                var queue = try HostQueue(engine, descriptor, capacity: 4)
                #expect(queue.finishOne(request(.write, at: 512, buffer, count: 512)) == .failure(SystemError(EINVAL)))
                #expect(queue.finishOne(request(.write, at: 0, buffer, from: 4096, count: 4096)) == .success(4096))
            }
        }
    }

    // MARK: Waiting

    @Test("With nothing to wait for, a reap ends at its deadline, and one in the past at once", arguments: Engine.allCases)
    func deadline(engine: Engine) throws {
        try withFile(sizeBytes: 4096) { descriptor, _ in
            var queue = try HostQueue(engine, descriptor, capacity: 4)
            var completions: [DiskCompletion] = []
            for seconds in [0.05, 0.2] {
                let start = Instant.now
                queue.reap(until: .after(seconds: seconds), into: &completions)
                let waited = Instant.now.seconds(since: start)
                #expect(waited >= seconds * 0.95 && waited < seconds + 1)
            }
            let start = Instant.now
            for _ in 0..<100 { queue.reap(until: Instant(nanoseconds: 0), into: &completions) }
            #expect(Instant.now.seconds(since: start) < 0.5)
            #expect(completions.isEmpty)
        }
    }

    @Test(
        "A reap with an expired deadline still hands requests to the kernel, and finds them done later",
        arguments: Engine.allCases)
    func pollOnly(engine: Engine) throws {
        try withFile(sizeBytes: 4096) { descriptor, file in
            let buffer = try DirectBuffer(sizeBytes: 4096)
            buffer.write([UInt8](repeating: 9, count: 4096), at: 0)
            var queue = try HostQueue(engine, descriptor, capacity: 4)
            queue.submit(request(.write, at: 0, buffer, count: 4096, tag: 5))
            var completions: [DiskCompletion] = []
            let end = Instant.after(seconds: 10)
            while completions.isEmpty, Instant.now < end { queue.reap(until: Instant(nanoseconds: 0), into: &completions) }
            #expect(completions.map(\.tag) == [5])
            #expect([UInt8](try Data(contentsOf: file)) == [UInt8](repeating: 9, count: 4096))
        }
    }

    @Test("The waker ends a wait at once, from another thread, every time", arguments: Engine.allCases)
    func waker(engine: Engine) throws {
        try withFile(sizeBytes: 4096) { descriptor, _ in
            var queue = try HostQueue(engine, descriptor, capacity: 4)
            let waker = queue.waker
            var completions: [DiskCompletion] = []
            for round in 0..<20 {
                let thread = try WorkerThread(name: "test-wake") {
                    usleepMilliseconds(UInt32(round % 4) * 3)
                    waker.wake()
                }
                let start = Instant.now
                queue.reap(until: .after(seconds: 20), into: &completions)
                #expect(Instant.now.seconds(since: start) < 5, "round \(round)")
                thread.join()
            }
            #expect(completions.isEmpty)
        }
    }

    @Test("A wake that comes early ends the next wait; several are one", arguments: Engine.allCases)
    func earlyWake(engine: Engine) throws {
        try withFile(sizeBytes: 4096) { descriptor, _ in
            var queue = try HostQueue(engine, descriptor, capacity: 4)
            var completions: [DiskCompletion] = []
            for _ in 0..<3 {
                for _ in 0..<5 { queue.waker.wake() }
                var start = Instant.now
                queue.reap(until: .after(seconds: 20), into: &completions)
                #expect(Instant.now.seconds(since: start) < 5)
                // And no wake is left over.
                start = Instant.now
                queue.reap(until: .after(seconds: 0.1), into: &completions)
                #expect(Instant.now.seconds(since: start) >= 0.09)
            }
        }
    }

    @Test("Wakes between requests neither lose a completion nor invent one", arguments: Engine.allCases)
    func wakesAmongRequests(engine: Engine) throws {
        try withFile(sizeBytes: 1 << 20) { descriptor, _ in
            let buffer = try DirectBuffer(sizeBytes: 4096)
            var queue = try HostQueue(engine, descriptor, capacity: 8)
            let waker = queue.waker
            let isDone = Atomic<Bool>(false)
            let thread = try WorkerThread(name: "test-wake") {
                while !isDone.load(ordering: .acquiring) { waker.wake() }
            }
            var tags: Set<UInt64> = []
            for round in 0..<200 {
                for index in 0..<8 {
                    queue.submit(request(.read, at: index * 4096, buffer, count: 4096, tag: UInt64(round * 8 + index)))
                }
                let done = queue.finish(8)
                #expect(done.count == 8)
                tags.formUnion(done.keys)
            }
            isDone.store(true, ordering: .releasing)
            thread.join()
            #expect(tags.count == 1600)
        }
    }

    @Test("A waker outlives its queue", arguments: Engine.allCases)
    func lateWake(engine: Engine) throws {
        try withFile(sizeBytes: 4096) { descriptor, _ in
            let waker: any QueueWaker
            do {
                var queue = try HostQueue(engine, descriptor, capacity: 4)
                waker = queue.waker
                var completions: [DiskCompletion] = []
                queue.reap(until: Instant(nanoseconds: 0), into: &completions)
            }
            for _ in 0..<100 { waker.wake() }
        }
    }

    @Test("On a descriptor that is none the queue starts, and each request says so", arguments: Engine.allCases)
    func badDescriptor(engine: Engine) throws {
        let buffer = try DirectBuffer(sizeBytes: 4096)
        var queue = try HostQueue(engine, -1, capacity: 2)
        #expect(queue.finishOne(request(.write, at: 0, buffer, count: 512)) == .failure(SystemError(EBADF)))
    }
}

extension HostQueue {
    fileprivate init(_ engine: HostQueueTests.Engine, _ descriptor: Int32, capacity: Int) throws {
        switch engine {
        case .uring: self.init(uring: try UringQueue(fileDescriptors: [descriptor], capacity: capacity))
        case .pwrite: self.init(pwrite: try PwriteQueue(fileDescriptors: [descriptor], capacity: capacity))
        }
    }

    /// Waits for so many completions; fewer when ten seconds pass.
    fileprivate mutating func finish(_ count: Int) -> [UInt64: Result<Int, SystemError>] {
        var completions: [DiskCompletion] = []
        let deadline = Instant.after(seconds: 10)
        while completions.count < count, Instant.now < deadline { reap(until: deadline, into: &completions) }
        return Dictionary(completions.map { ($0.tag, $0.result) }, uniquingKeysWith: { first, _ in first })
    }

    fileprivate mutating func finishOne(_ request: DiskRequest) -> Result<Int, SystemError>? {
        submit(request)
        return finish(1)[request.tag]
    }
}
