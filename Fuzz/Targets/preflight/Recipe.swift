import CZstd
import CosiFormat

@testable import StreamDisk

/// Makes an image file from fuzz input: parts with a mark between them. The first is one byte of flags and the text of
/// metadata.json; each other one is a tar entry: two bytes of flags, its name, a NUL, its data.
///
/// In the metadata, `@h0` … `@h9` stand for the SHA-384 of the entries' data, `@s0` … `@s9` for their sizes. A mutation
/// of the data then leaves an image that is right but for what the data say.
struct Recipe {
    static let mark: [UInt8] = [0xC0, 0x51, 0xFF, 0x0A]

    let file: [UInt8]
    let isSequential: Bool
    let saysSize: Bool
    /// How much comes with the first contact.
    let headBytes: Int

    init(_ input: [UInt8]) {
        let parts = Self.split(input)
        let flags = parts[0].first ?? 0
        isSequential = flags & 1 != 0
        saysSize = flags & 2 == 0
        headBytes = flags & 4 == 0 ? 1 << 20 : 700
        var entries = parts.dropFirst().map(Entry.init)
        let json = Self.fill(parts[0].dropFirst(), entries)
        let metadata = Entry(name: Array("metadata.json".utf8), data: json)
        // Where the metadata stands: usually behind the first entry, the marker.
        entries.insert(metadata, at: min(entries.count, Int(flags >> 4) ^ 1))
        var file = entries.flatMap(\.tarBytes)
        if flags & 8 == 0 { file += [UInt8](repeating: 0, count: 1024) }
        self.file = file
    }

    struct Entry {
        var name: [UInt8]
        var data: [UInt8]
        var typeFlag = UInt8(ascii: "0")
        var statedBytes: UInt64?

        init(name: [UInt8], data: [UInt8]) {
            self.name = name
            self.data = data
        }

        /// Flags: 1 puts a GPT's CRCs right, 2 compresses, 4 takes the size that the header states from the data's first eight
        /// bytes, 8 makes the second byte the type.
        init(_ part: ArraySlice<UInt8>) {
            let (flags, type) = (part.first ?? 0, part.dropFirst().first ?? 0)
            let rest = part.dropFirst(2)
            name = Array(rest.prefix { $0 != 0 }.prefix(100))
            data = Array(rest.drop { $0 != 0 }.dropFirst())
            if flags & 4 != 0 {
                statedBytes = data.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
                data.removeFirst(min(8, data.count))
            }
            if flags & 8 != 0 { typeFlag = type }
            if flags & 1 != 0 { GPTSeal.seal(&data, blockBytes: data.count > 4600 && data[4096] == 0x45 ? 4096 : 512) }
            if flags & 2 != 0 { data = Self.compress(data) }
        }

        private static func compress(_ bytes: [UInt8]) -> [UInt8] {
            var output = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
            let size = unsafe output.withUnsafeMutableBytes { target in
                unsafe bytes.withUnsafeBytes { source in
                    unsafe ZSTD_compress(target.baseAddress, target.count, source.baseAddress, source.count, 1)
                }
            }
            return Array(output[..<size])
        }

        var tarBytes: [UInt8] {
            var header = [UInt8](repeating: 0, count: 512)
            header.replaceSubrange(0..<name.count, with: name)
            let size = statedBytes ?? UInt64(data.count)
            if size < 1 << 33 {
                let octal = String(size, radix: 8)
                header.replaceSubrange(
                    124..<135, with: Array((String(repeating: "0", count: 11 - octal.utf8.count) + octal).utf8))
            } else {
                header[124] = 0x80
                for index in 0..<8 { header[128 + index] = UInt8(truncatingIfNeeded: size >> UInt64(56 - 8 * index)) }
            }
            header[156] = typeFlag
            header.replaceSubrange(257..<265, with: Array("ustar\u{0}00".utf8))
            header.replaceSubrange(148..<156, with: [UInt8](repeating: 32, count: 8))
            let sum = Array(String(header.reduce(0) { $0 + Int($1) }, radix: 8).utf8)
            header.replaceSubrange(148..<148 + sum.count, with: sum)
            return header + data + [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
        }
    }

    /// At most 16 parts; there is always one.
    private static func split(_ input: [UInt8]) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = 0
        var index = 0
        while index + mark.count <= input.count, parts.count < 15 {
            if input[index] == mark[0], input[index..<index + mark.count].elementsEqual(mark) {
                parts.append(input[start..<index])
                index += mark.count
                start = index
            } else {
                index += 1
            }
        }
        return parts + [input[start...]]
    }

    private static func fill(_ text: ArraySlice<UInt8>, _ entries: [Entry]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "@"), let kind = rest.first, let digit = rest.dropFirst().first,
                case let number = Int(digit) - 48, entries.indices.contains(number), number < 10
            else {
                result.append(byte)
                continue
            }
            switch kind {
            case UInt8(ascii: "h"): result += SHA384.digest(of: entries[number].data).hexadecimal.utf8
            case UInt8(ascii: "s"): result += "\(entries[number].statedBytes ?? UInt64(entries[number].data.count))".utf8
            default:
                result.append(byte)
                continue
            }
            rest.removeFirst(2)
        }
        return result
    }
}
