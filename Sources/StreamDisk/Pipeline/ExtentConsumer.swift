/// Receives what a `Pipeline` decodes, on the thread that runs it: the disk writer, the comparer, or a benchmark that discards
/// it.
package protocol ExtentConsumer: ~Copyable {
    /// Wakes `drain` when extents have arrived.
    var waker: any QueueWaker { get }
    /// Extents start and end at multiples of this.
    var blockBytes: Int { get }
    /// Whether each extent with data carries a checksum.
    var wantsChecksums: Bool { get }

    /// Takes extents until `queue` is closed and empty, and releases each when its bytes are no longer needed.
    ///
    /// Reports failures to `transfer`, which then stops. Returns only when none of the extents is in use.
    ///
    /// - Parameter tick: called several times a second.
    mutating func drain(_ queue: ExtentQueue, _ transfer: TransferState, tick: (DiskActivity) -> Void)
}
