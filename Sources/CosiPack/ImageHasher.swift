import Glibc
import StreamDisk

/// The SHA-384 of images, on a thread of its own. An image's hash begins with its content index, which is only known when the
/// last frame is there: so what was written is read back, from the kernel's cache, while the next image is compressed.
final class ImageHasher: Sendable {
    private struct State {
        var waiting: [Range<UInt64>] = []
        var hashes: [[UInt8]] = []
        var failure: PackError?
    }

    private static let readBytes = 1 << 20

    private let state = Monitor(State())
    private let descriptor: Int32
    private let path: String
    private let buffer: DirectBuffer

    /// - Parameter descriptor: of the output; open until the thread has ended.
    init(_ descriptor: Int32, path: String) throws(SystemError) {
        self.descriptor = descriptor
        self.path = path
        buffer = try DirectBuffer(sizeBytes: Self.readBytes)
    }

    /// The image whose bytes these are is complete.
    func add(_ range: Range<UInt64>) { state.mutateAndNotify { $0.waiting.append(range) } }

    /// Nobody waits for hashes any more, or all are there.
    func stop() { fail(.cancelled) }

    /// The hashes of all images in order; nil at the deadline.
    func hashes(of count: Int, until deadline: Instant) throws(PackError) -> [[UInt8]]? {
        try state.wait(until: deadline) { state throws(PackError) in
            if let failure = state.failure { throw failure }
            return state.hashes.count == count ? state.hashes : nil
        }
    }

    /// The thread's work.
    func run() {
        var digest = MessageDigest(.sha384)
        while let range = state.wait({ state -> Range<UInt64>?? in
            if state.failure != nil { return .some(nil) }
            if state.waiting.isEmpty { return nil }
            return .some(state.waiting.removeFirst())
        }) {
            var position = range.lowerBound
            while position < range.upperBound {
                let count = Int(min(UInt64(Self.readBytes), range.upperBound - position))
                // SAFETY: `address` checks that so many bytes lie there, and no other thread uses this buffer.
                let result = unsafe pread(descriptor, buffer.address(0, count: count), count, off_t(position))
                if result <= 0 {
                    let cause = result == 0 ? SystemError(EIO) : SystemError.current
                    if cause.code == EINTR { continue }
                    fail(.write(path: path, operation: "read back", cause: cause))
                    return
                }
                buffer.withBytes(0, count: result) { digest.update($0) }
                position += UInt64(result)
                if state.withLock({ $0.failure != nil }) { return }
            }
            let hash = digest.finish()
            state.mutateAndNotify { $0.hashes.append(hash) }
        }
    }

    private func fail(_ error: PackError) {
        state.mutateAndNotify { state in
            if state.failure == nil { state.failure = error }
        }
    }
}
