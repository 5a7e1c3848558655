/// The disk failed: the operation, where, and the kernel's error.
public struct DiskIOError: Error, Sendable, Equatable {
    /// The operation.
    package enum Operation: String, Sendable { case open, write, zero, read, flush, close }

    /// The operation.
    package let operation: Operation
    /// The disk's path as the caller gave it.
    package let path: String
    /// Byte offset of the request on the device; nil for a flush, an open or a close, and for a file that was cut or replaced.
    package let offset: UInt64?
    /// Length of the request in bytes; nil if `offset` is nil.
    package let lengthBytes: Int?
    /// The kernel's error.
    package let cause: SystemError

    package init(_ operation: Operation, path: String, offset: UInt64?, lengthBytes: Int?, cause: SystemError) {
        self.operation = operation
        self.path = path
        self.offset = offset
        self.lengthBytes = lengthBytes
        self.cause = cause
    }
}
