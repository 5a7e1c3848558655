import CLinux
import Glibc

/// An errno value with its text (errno(3), strerror(3)).
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The errno value.
    public let code: Int32

    package init(_ code: Int32) { self.code = code }

    /// The calling thread's errno. Must be read right after the failed call.
    package static var current: SystemError { SystemError(cl_errno()) }

    public var description: String {
        var buffer = [CChar](repeating: 0, count: 128)
        // SAFETY: the XSI strerror_r writes at most `count` bytes and terminates them with a NUL.
        let text = unsafe buffer.withUnsafeMutableBufferPointer { area -> String in
            guard let base = area.baseAddress, unsafe strerror_r(code, base, area.count) == 0 else { return "" }
            return unsafe String(cString: base)
        }
        return text.isEmpty ? "errno \(code)" : text
    }
}
