/// The disk failed: what was asked of it, where, and what it answered.
public struct DiskIOError: Error, Sendable, Equatable {
    /// What was asked of the disk.
    public enum Operation: String, Sendable { case open, write, zero, read, flush, close }

    /// What was asked of the disk.
    public let operation: Operation
    /// The disk, as it was asked for.
    public let path: String
    /// Byte position on the device and length of the request; nil for a flush, an open or a close.
    public let offset: UInt64?
    /// Of the request; nil where `offset` is.
    public let lengthBytes: Int?
    /// What the kernel answered.
    public let cause: SystemError

    package init(_ operation: Operation, path: String, offset: UInt64?, lengthBytes: Int?, cause: SystemError) {
        self.operation = operation
        self.path = path
        self.offset = offset
        self.lengthBytes = lengthBytes
        self.cause = cause
    }
}
