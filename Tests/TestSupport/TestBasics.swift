import Foundation
import Glibc
import Synchronization

/// Bytes that look random and repeat for a seed (SplitMix64).
func sampleBytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SplitMix64(state: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        let word = generator.next()
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(shift)))) }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
}

struct SplitMix64: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

/// Runs `body` on a thread of its own: it may block without holding up the tests beside it.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}

/// Seconds that `body` takes.
func duration(_ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let time = try clock.measure(body)
    return Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
}

/// A new folder under the system's temporary one, removed at the end.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "stream-disk-source-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(filePath: file))
        return file
    }
}

/// A number from the environment, for the long forms of tests.
func setting(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

/// Counts from 0, on any thread.
final class Tally: Sendable {
    private let count = Mutex(0)
    func next() -> Int {
        count.withLock { count in
            defer { count += 1 }
            return count
        }
    }
}

/// Changes one byte of a file or of a block device.
func flipByte(_ offset: UInt64, of path: String) throws {
    struct Failed: Error { let errno: Int32 }
    let descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failed(errno: errno) }
    defer { close(descriptor) }
    var byte: UInt8 = 0
    guard unsafe pread(descriptor, &byte, 1, off_t(offset)) == 1 else { throw Failed(errno: errno) }
    byte ^= 0x10
    guard unsafe pwrite(descriptor, &byte, 1, off_t(offset)) == 1, fsync(descriptor) == 0 else { throw Failed(errno: errno) }
}

/// F_OFD_SETLK (fcntl(2)), which a macro hides.
let setOpenFileLock: Int32 = 37
