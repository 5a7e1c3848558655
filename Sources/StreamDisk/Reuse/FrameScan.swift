import CosiFormat

/// Which frames are still to be compared with the disk, and which jobs follow from those that were. Pure.
///
/// Results come in any order; jobs are made in the order of the frames, so that neighbours are fetched together.
struct FrameScan {
    enum Work: Equatable {
        /// Some frames of an image, to see whether reading all of it is worth while.
        case sample(image: Int)
        case compare(image: Int, frames: Range<Int>, claim: Int)
    }

    enum Next {
        case work(Work)
        case wait
        case end
    }

    /// So much content is compared at a time.
    private static let claimBytes: UInt64 = 16 << 20
    /// A longer run of missing frames is fetched in parts, so that it spreads over connections.
    private static let runBytesMax: UInt64 = 8 << 20
    /// Runs that wait for a fetch thread: the comparison goes no further ahead.
    private static let jobsMax = 256
    private static let claimsMax = 64

    let images: [IndexedImage]
    /// What is to be fetched.
    private(set) var jobs: [ImageJob]
    private var unsampled: [Int]
    private var sampling = 0
    /// Images that are compared frame by frame; the first one from `nextFrame` on.
    private var comparing: [Int]
    private var nextFrame = 0
    /// Claims are counted: those that were given, and those whose results were used.
    private var given = 0
    private var used = 0
    private var results: [Int: (image: Int, frames: Range<Int>, missing: [Int])] = [:]
    /// The run that the next missing frame may continue.
    private var run: (image: Int, frames: Range<Int>)?

    /// - Parameters:
    ///   - whole: images without an index.
    ///   - samples: false compares all frames in any case.
    init(_ images: [IndexedImage], whole: [ImageJob], samples: Bool) {
        self.images = images
        jobs = whole
        unsampled = samples ? images.indices.reversed() : []
        comparing = samples ? [] : Array(images.indices)
    }

    /// Whether no more jobs will come.
    var isOver: Bool { unsampled.isEmpty && sampling == 0 && comparing.isEmpty && given == used }

    /// What a thread should do next.
    mutating func next() -> Next {
        if let image = unsampled.popLast() {
            sampling += 1
            return .work(.sample(image: image))
        }
        guard let image = comparing.first else { return sampling > 0 ? .wait : .end }
        guard jobs.count < Self.jobsMax, given - used < Self.claimsMax else { return .wait }
        let frames = images[image].frames
        var (end, bytes) = (nextFrame, UInt64(0))
        while end < frames.count, end == nextFrame || bytes + UInt64(frames[end].contentBytes) <= Self.claimBytes {
            bytes += UInt64(frames[end].contentBytes)
            end += 1
        }
        let range = nextFrame..<end
        nextFrame = end
        if end == frames.count {
            comparing.removeFirst()
            nextFrame = 0
        }
        given += 1
        return .work(.compare(image: image, frames: range, claim: given - 1))
    }

    /// - Parameter isFound: whether one of the frames is there.
    mutating func sampled(image: Int, isFound: Bool) {
        sampling -= 1
        if isFound { comparing.append(image) } else { jobs.append(images[image].job) }
        if isOver { endRun() }
    }

    /// - Parameter missing: those that must be fetched.
    mutating func compared(image: Int, frames: Range<Int>, claim: Int, missing: [Int]) {
        results[claim] = (image, frames, missing)
        while let result = results.removeValue(forKey: used) {
            for frame in result.missing { add(frame, of: result.image) }
            // What the next result may continue stays open.
            let isLast = result.frames.upperBound == images[result.image].frames.count
            if isLast || run?.frames.upperBound != result.frames.upperBound { endRun() }
            used += 1
        }
        if isOver { endRun() }
    }

    /// Nothing more can be compared: all that was not is fetched.
    mutating func giveUp() {
        for image in unsampled { jobs.append(images[image].job) }
        unsampled = []
        for (at, image) in comparing.enumerated() {
            for frame in (at == 0 ? nextFrame : 0)..<images[image].frames.count { add(frame, of: image) }
            endRun()
        }
        comparing = []
        endRun()
    }

    mutating func popJob() -> ImageJob? { jobs.isEmpty ? nil : jobs.removeFirst() }

    private mutating func add(_ frame: Int, of image: Int) {
        if let (runImage, frames) = run, runImage == image, frames.upperBound == frame {
            run = (image, frames.lowerBound..<frame + 1)
        } else {
            endRun()
            run = (image, frame..<frame + 1)
        }
        guard let frames = run?.frames else { return }
        let (first, last) = (images[image].frames[frames.lowerBound], images[image].frames[frame])
        if last.compressedOffset + UInt64(last.compressedBytes) - first.compressedOffset >= Self.runBytesMax { endRun() }
    }

    private mutating func endRun() {
        guard let (image, frames) = run.take() else { return }
        jobs.append(images[image].job.run(of: images[image].frames[frames]))
    }
}
