import CArguments

/// The arguments of this process, without the program's name.
enum ProcessArguments {
    /// An argument that is not UTF-8: decoding it would change it, and the result could name another file.
    struct NotText: Error, CustomStringConvertible {
        let position: Int
        let bytes: [UInt8]
        /// All arguments; bytes that are not UTF-8 are replaced by U+FFFD.
        let arguments: [String]

        var description: String {
            // Headers and URLs contain a colon, and may contain a secret.
            if bytes.contains(UInt8(ascii: ":")) {
                return "argument \(position) is not UTF-8 text (not shown here, it may hold a secret)"
            }
            return "argument \(position) is not UTF-8 text: '\(shown)'; a file of such a name can be given by a link or a folder "
                + "whose name is text"
        }

        /// ASCII as it is; other bytes in hexadecimal.
        private var shown: String {
            bytes.map { byte in
                if (0x20..<0x7f).contains(byte), byte != UInt8(ascii: "\\") { return String(UnicodeScalar(byte)) }
                let digits = String(byte, radix: 16, uppercase: true)
                return "\\x" + (digits.count == 1 ? "0" : "") + digits
            }.joined()
        }
    }

    static func list() throws(NotText) -> [String] {
        var list: [String] = []
        var first: (position: Int, bytes: [UInt8])?
        for position in 1..<max(Int(ca_count()), 1) {
            // SAFETY: the kernel's NUL-terminated strings, which live as long as the process; nothing changes them.
            guard let value = unsafe ca_value(Int32(position)) else { break }
            if unsafe String(validatingCString: value) == nil, first == nil { first = (position, unsafe bytes(of: value)) }
            unsafe list.append(String(cString: value))
        }
        if let first { throw NotText(position: first.position, bytes: first.bytes, arguments: list) }
        return list
    }

    @unsafe
    private static func bytes(of value: UnsafePointer<CChar>) -> [UInt8] {
        var bytes: [UInt8] = []
        var index = 0
        while unsafe value[index] != 0 {
            bytes.append(UInt8(bitPattern: unsafe value[index]))
            index += 1
        }
        return bytes
    }
}
