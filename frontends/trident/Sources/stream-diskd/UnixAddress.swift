import Glibc

/// The address of a Unix socket (unix(7)).
struct UnixAddress {
    private let bytes: [UInt8]

    /// Nil for a path that is empty or too long for an address.
    ///
    /// - Parameter path: `@` at its beginning stands for the NUL of an abstract address.
    init?(_ path: String, allowsAbstract: Bool = false) {
        var bytes = Array(path.utf8)
        guard !bytes.isEmpty, !bytes.contains(0), bytes.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else {
            return nil
        }
        if allowsAbstract, bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        self.bytes = bytes
    }

    /// Calls bind(2), connect(2) or another of its kind with the address.
    func with<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // SAFETY: `init` has checked that the bytes fit, with a NUL behind them, which the structure has already.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let isAbstract = bytes[0] == 0
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 0
        let count = socklen_t(offset + bytes.count + (isAbstract ? 0 : 1))
        // SAFETY: the structure outlives the call, and sockaddr is what the kernel calls every kind of address by.
        return unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, count) }
        }
    }
}

/// The text of the calling thread's errno.
func errorText() -> String { unsafe String(cString: strerror(errno)) }
