package import Synchronization

/// Bytes that have passed each stage. The stages' threads write them; any thread may read them.
package final class TransferCounters: Sendable {
    package let fetchedBytes = Atomic<UInt64>(0)
    package let decodedBytes = Atomic<UInt64>(0)
    package let writtenBytes = Atomic<UInt64>(0)
    let zeroedBytes = Atomic<UInt64>(0)
    /// Bytes that were found on the disk.
    let reusedBytes = Atomic<UInt64>(0)
    /// Compressed bytes that need not be fetched: of frames that were found, and of zeros.
    let savedBytes = Atomic<UInt64>(0)

    let fetch = StageTimes()
    package let decode = StageTimes()
    package let write = StageTimes()

    package var reports: [StageReport] {
        [
            fetch.report(.fetch, bytes: fetchedBytes.load(ordering: .relaxed), isInputTheRest: true),
            decode.report(.decode, bytes: decodedBytes.load(ordering: .relaxed)),
            write.report(.write, bytes: writtenBytes.load(ordering: .relaxed)),
        ]
    }
}
