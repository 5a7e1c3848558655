/// Checks a JSON text before a recursive parser that keeps every value sees it: size, encoding, depth, number of values, and
/// that no object has a duplicate key. Parsers take the first or the last of two equal keys, so one hash could stand for
/// two readings. The parser refuses every other error.
///
/// One pass, which keeps at most ``CosiMetadata/valueCountMax`` keys.
struct JSONShape {
    private struct Level {
        let isObject: Bool
        /// The current key of the open object, unescaped.
        var keys: Set<[UInt8]> = []
        var key: [UInt8] = []
        var awaitsKey: Bool
        /// The current index of the open array.
        var index = 0
    }

    /// The text's name in errors.
    private let name: String
    private var levels: [Level] = []
    private var valueCount = 0

    private init(name: String) { self.name = name }

    static func check(_ json: [UInt8], name: String, bytesMax: Int) throws(FormatError) {
        guard json.count <= bytesMax else {
            throw FormatError(.metadata, place: name, problem: "is \(json.count) bytes, more than \(bytesMax)")
        }
        // JSONDecoder would guess UTF-16 and UTF-32 from zero bytes; JSON is UTF-8 (RFC 8259 §8.1).
        guard !json.contains(0), String(validating: json, as: UTF8.self) != nil else {
            throw FormatError(.metadata, place: name, problem: "is not UTF-8 text")
        }
        var shape = JSONShape(name: name)
        try shape.scan(json)
    }

    private mutating func scan(_ json: [UInt8]) throws(FormatError) {
        var at = 0
        while at < json.count {
            switch json[at] {
            case UInt8(ascii: "\""):
                let start = at + 1
                at = start
                while at < json.count, json[at] != UInt8(ascii: "\"") {
                    at += json[at] == UInt8(ascii: "\\") ? 2 : 1
                }
                try takeString(json[start..<min(max(at, start), json.count)])
            case UInt8(ascii: "{"): try open(isObject: true)
            case UInt8(ascii: "["): try open(isObject: false)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = levels.popLast()
            case UInt8(ascii: ","):
                try count()
                guard !levels.isEmpty else { break }
                levels[levels.count - 1].awaitsKey = levels[levels.count - 1].isObject
                levels[levels.count - 1].index += 1
            default: break
            }
            at += 1
        }
    }

    private mutating func open(isObject: Bool) throws(FormatError) {
        try count()
        guard levels.count < CosiMetadata.depthMax else {
            throw FormatError(.metadata, place: name, problem: "nests deeper than \(CosiMetadata.depthMax) levels")
        }
        levels.append(Level(isObject: isObject, awaitsKey: isObject))
    }

    private mutating func count() throws(FormatError) {
        valueCount += 1
        guard valueCount <= CosiMetadata.valueCountMax else {
            throw FormatError(
                .metadata, place: name, problem: "holds more than \(CosiMetadata.valueCountMax) values")
        }
    }

    private mutating func takeString(_ raw: ArraySlice<UInt8>) throws(FormatError) {
        guard let last = levels.indices.last, levels[last].awaitsKey else { return }
        let key = raw.contains(UInt8(ascii: "\\")) ? Self.unescaped(raw) : Array(raw)
        levels[last].awaitsKey = false
        levels[last].key = key
        guard levels[last].keys.insert(key).inserted else {
            throw FormatError(.metadata, place: name + ": " + printable(path), problem: "is there twice")
        }
    }

    /// The path of the last key read, such as `disk.gptRegions[1].number`.
    private var path: String {
        var text = ""
        for level in levels {
            if level.isObject {
                text += text.isEmpty ? "" : "."
                text += String(decoding: level.key.prefix(200), as: UTF8.self)
            } else {
                text += "[\(level.index)]"
            }
        }
        return text
    }

    /// RFC 8259 §7. An invalid escape stays as it is: the parser refuses it.
    private static func unescaped(_ raw: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = raw
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let kind = rest.popFirst() else {
                result.append(byte)
                continue
            }
            switch kind {
            case UInt8(ascii: "b"): result.append(8)
            case UInt8(ascii: "t"): result.append(9)
            case UInt8(ascii: "n"): result.append(10)
            case UInt8(ascii: "f"): result.append(12)
            case UInt8(ascii: "r"): result.append(13)
            case UInt8(ascii: "u"):
                guard let unit = fourDigits(rest) else {
                    result += [byte, kind]
                    continue
                }
                rest = rest.dropFirst(4)
                var value = unit
                // A surrogate pair is one character; a lone surrogate is kept as the three bytes it would encode to.
                if 0xD800..<0xDC00 ~= unit, rest.starts(with: "\\u".utf8), let low = fourDigits(rest.dropFirst(2)),
                    0xDC00..<0xE000 ~= low
                {
                    rest = rest.dropFirst(6)
                    value = 0x1_0000 + (unit - 0xD800) << 10 + (low - 0xDC00)
                }
                result += utf8(value)
            default: result.append(kind)
            }
        }
        return result
    }

    private static func fourDigits(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let digits = bytes.prefix(4).compactMap(hexDigit)
        return digits.count == 4 ? digits.reduce(0) { $0 << 4 | UInt32($1) } : nil
    }

    private static func utf8(_ value: UInt32) -> [UInt8] {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | value >> shift & 0x3F) }
        return switch value {
        case ..<0x80: [UInt8(value)]
        case ..<0x800: [UInt8(0xC0 | value >> 6), tail(0)]
        case ..<0x1_0000: [UInt8(0xE0 | value >> 12), tail(6), tail(0)]
        default: [UInt8(0xF0 | value >> 18), tail(12), tail(6), tail(0)]
        }
    }
}
