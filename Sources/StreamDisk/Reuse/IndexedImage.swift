import CosiFormat

/// An image with its content index, and where it goes.
struct IndexedImage: Sendable {
    /// Of the whole image.
    let job: ImageJob
    let frames: [ContentIndex.Frame]

    /// How many frames of an image are tried before all of it is read, and which part of it they may be: with 1 MiB a frame
    /// this finds a disk that has a fifth of them in 97 of 100 cases.
    private static let samplesMax = 16
    private static let sampledShare: UInt64 = 50

    /// Some frames with data, spread over the image: at most a fiftieth of its bytes, but at least one.
    var samples: [Int] {
        let filled = frames.indices.filter { !frames[$0].isZero }
        let count = min(filled.count, Self.samplesMax)
        var (samples, bytes): ([Int], UInt64) = ([], 0)
        // First the middle, then ever finer: few samples are spread, too.
        for step in [2, 4, 8, 16, 32] {
            for odd in stride(from: 1, to: step, by: 2) where samples.count < count {
                let index = filled[filled.count * odd / step]
                if samples.contains(index) { continue }
                bytes += UInt64(frames[index].contentBytes)
                if !samples.isEmpty, bytes > job.decodedBytes / Self.sampledShare { return samples }
                samples.append(index)
            }
        }
        return samples
    }

    /// Where a frame's place begins on the device.
    func deviceOffset(of frame: Int) -> UInt64 { job.deviceOffset + frames[frame].contentOffset }
}
