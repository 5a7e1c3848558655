import CArguments

/// The arguments of this process, without its name.
enum ProcessArguments {
    /// An argument whose bytes are not UTF-8: as text it would be another one, and could name another file.
    struct NotText: Error, CustomStringConvertible {
        let position: Int
        let bytes: [UInt8]
        /// All of them; in one that is no text, U+FFFD stands for what is none.
        let arguments: [String]

        var description: String {
            // A header and a URL have a colon, and may hold a secret.
            if bytes.contains(UInt8(ascii: ":")) {
                return "argument \(position) is not UTF-8 text (not shown here, it may hold a secret)"
            }
            return "argument \(position) is not UTF-8 text: '\(shown)'; a file of such a name can be given by a link or a folder "
                + "whose name is text"
        }

        /// As far as it is ASCII; other bytes in hexadecimal.
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
            // SAFETY: the kernel's NUL-ended strings, which last as long as the process; nobody changes them.
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
