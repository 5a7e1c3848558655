import Synchronization

/// Bytes that have passed each stage. Written by the stages' threads, read by anyone.
final class TransferCounters: Sendable {
    let fetchedBytes = Atomic<UInt64>(0)
    let decodedBytes = Atomic<UInt64>(0)
    let writtenBytes = Atomic<UInt64>(0)
    let zeroedBytes = Atomic<UInt64>(0)

    let fetch = StageTimes()
    let decode = StageTimes()
    let write = StageTimes()

    var reports: [StageReport] {
        [
            fetch.report(.fetch, bytes: fetchedBytes.load(ordering: .relaxed), isInputTheRest: true),
            decode.report(.decode, bytes: decodedBytes.load(ordering: .relaxed)),
            write.report(.write, bytes: writtenBytes.load(ordering: .relaxed)),
        ]
    }
}
