/// The disk failed: what was asked of it, where, and what it answered.
public struct DiskIOError: Error, Sendable, Equatable {
    public enum Operation: String, Sendable { case open, write, zero, read, flush, close }

    public let operation: Operation
    public let path: String
    /// Byte position on the device and length of the request; nil for a flush, an open or a close.
    public let offset: UInt64?
    public let lengthBytes: Int?
    public let cause: SystemError

    public init(_ operation: Operation, path: String, offset: UInt64?, lengthBytes: Int?, cause: SystemError) {
        self.operation = operation
        self.path = path
        self.offset = offset
        self.lengthBytes = lengthBytes
        self.cause = cause
    }
}
