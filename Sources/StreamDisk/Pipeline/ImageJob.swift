package import CosiFormat

/// One compressed image, or a run of its frames, and the range of the device it goes to.
package struct ImageJob: Sendable {
    /// What shows that the bytes are the right ones.
    package enum Check: Sendable {
        /// The SHA-384 of all compressed bytes: 48 bytes.
        case whole(sha384: [UInt8])
        /// The SHA-256 of each frame's content. The frames are neighbours in the image's index.
        case frames(ArraySlice<ContentIndex.Frame>)
    }

    /// The image's name in messages.
    package let name: String
    /// The number of its partition's GPT entry; 0 if it has none.
    package let number: Int
    /// The range of its compressed bytes in the source.
    package let sourceRange: Range<UInt64>
    package let check: Check
    /// The exact number of decoded bytes.
    package let decodedBytes: UInt64
    /// Byte offset on the device, a multiple of its block size.
    package let deviceOffset: UInt64

    package init(
        name: String, number: Int = 0, sourceRange: Range<UInt64>, sha384: [UInt8], decodedBytes: UInt64, deviceOffset: UInt64
    ) {
        self.init(
            name: name, number: number, sourceRange: sourceRange, check: .whole(sha384: sha384), decodedBytes: decodedBytes,
            deviceOffset: deviceOffset)
    }

    private init(
        name: String, number: Int, sourceRange: Range<UInt64>, check: Check, decodedBytes: UInt64, deviceOffset: UInt64
    ) {
        self.name = name
        self.number = number
        self.sourceRange = sourceRange
        self.check = check
        self.decodedBytes = decodedBytes
        self.deviceOffset = deviceOffset
    }

    /// The job of some frames of this image, which is whole.
    ///
    /// - Parameter frames: at least one, of the image's index.
    func run(of frames: ArraySlice<ContentIndex.Frame>) -> ImageJob {
        guard let first = frames.first, let last = frames.last else { preconditionFailure("a run of no frames") }
        let start = sourceRange.lowerBound + first.compressedOffset
        let end = sourceRange.lowerBound + last.compressedOffset + UInt64(last.compressedBytes)
        return ImageJob(
            name: name, number: number, sourceRange: start..<end, check: .frames(frames),
            decodedBytes: last.contentOffset + UInt64(last.contentBytes) - first.contentOffset,
            deviceOffset: deviceOffset + first.contentOffset)
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

    /// Starts the feed's own threads, if it has any. What needs no decoder goes straight into `queue`, before `next` returns nil.
    func start(into queue: ExtentQueue, _ transfer: TransferState) -> ThreadList

    /// Aborts all waits.
    func stop()

    /// For how long the disk has answered none of the feed's own reads; 0 if none is outstanding.
    var silenceSeconds: Double { get }

    /// Harmless findings so far. Complete once `next` has returned nil.
    var warnings: [FormatWarning] { get }
}

extension JobFeed {
    package var warnings: [FormatWarning] { [] }
    package func start(into queue: ExtentQueue, _ transfer: TransferState) -> ThreadList { ThreadList() }
    package func stop() {}
    package var silenceSeconds: Double { 0 }
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
