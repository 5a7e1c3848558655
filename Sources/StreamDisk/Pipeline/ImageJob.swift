package import CosiFormat

/// One compressed image and the range of the device it goes to.
package struct ImageJob: Sendable {
    /// The image's name in messages.
    package let name: String
    /// The number of its partition's GPT entry; 0 if it has none.
    package let number: Int
    /// The range of its compressed bytes in the source.
    package let sourceRange: Range<UInt64>
    /// SHA-384 of those bytes, 48 bytes.
    package let sha384: [UInt8]
    /// The exact number of decoded bytes.
    package let decodedBytes: UInt64
    /// Byte offset on the device, a multiple of its block size.
    package let deviceOffset: UInt64

    package init(
        name: String, number: Int = 0, sourceRange: Range<UInt64>, sha384: [UInt8], decodedBytes: UInt64, deviceOffset: UInt64
    ) {
        self.name = name
        self.number = number
        self.sourceRange = sourceRange
        self.sha384 = sha384
        self.decodedBytes = decodedBytes
        self.deviceOffset = deviceOffset
    }

    var compressedBytes: UInt64 { sourceRange.upperBound - sourceRange.lowerBound }
    var place: String { "image '\(name)'" }
}

/// Hands out images to fetch threads. Several threads call it concurrently.
package protocol JobFeed: Sendable {
    /// How many images may be fetched concurrently; at least 1.
    var concurrentMax: Int { get }

    /// The next image for the calling thread; nil when there are no more.
    func next(observer: SourceObserver) throws(StreamFault) -> ImageJob?

    /// Harmless findings so far. Complete once `next` has returned nil.
    var warnings: [FormatWarning] { get }
}

extension JobFeed {
    package var warnings: [FormatWarning] { [] }
}

/// Images known in advance, largest first, so that the longest job does not start last.
package final class ListedJobs: JobFeed {
    package let concurrentMax: Int
    private let waiting: Monitor<[ImageJob]>

    package init(_ jobs: [ImageJob], concurrentMax: Int = .max) {
        self.concurrentMax = max(1, min(jobs.count, concurrentMax))
        waiting = Monitor(jobs.sorted { $0.decodedBytes < $1.decodedBytes })
    }

    package func next(observer: SourceObserver) throws(StreamFault) -> ImageJob? { waiting.withLock { $0.popLast() } }
}
