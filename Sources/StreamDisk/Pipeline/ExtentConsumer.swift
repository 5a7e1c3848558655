/// Takes what a `Pipeline` decodes, on the thread that runs it: the disk writer, the comparer, a benchmark that discards it.
package protocol ExtentConsumer: ~Copyable {
    /// Wakes `drain` when extents have come.
    var waker: any QueueWaker { get }
    /// Extents begin and end on multiples of it.
    var blockBytes: Int { get }
    /// Whether each extent that is no zeros brings the checksum of its bytes.
    var wantsChecksums: Bool { get }

    /// Takes extents until `queue` has no more, and releases each when it needs the bytes no longer.
    ///
    /// What fails goes to `transfer`, which then stops. It returns only when nothing of what it took is in use.
    ///
    /// - Parameter tick: called several times a second.
    mutating func drain(_ queue: ExtentQueue, _ transfer: TransferState, tick: (DiskActivity) -> Void)
}
