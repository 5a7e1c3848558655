/// The records of a PAX extended header that this reader uses (POSIX.1-2017, pax, "pax Extended Header").
struct PaxRecords: Sendable {
    /// `present` is false if the record never occurred; an empty value means "use the header's own".
    struct Value<T: Sendable>: Sendable {
        var value: T?
        var present = false

        mutating func set(_ newValue: T?) {
            value = newValue
            present = true
        }
    }

    var path = Value<[UInt8]>()
    var sizeBytes = Value<UInt64>()
    /// Any `GNU.sparse.*` record: the stored bytes are not the file's bytes.
    var isSparse = false

    init() {}

    /// Reads records of the form `LENGTH KEY=VALUE\n`; LENGTH counts the whole record. The last of equal keys wins.
    init(_ payload: [UInt8], place: String) throws(FormatError) {
        var rest = payload[...]
        // GNU tar and Python add no padding, but some archives have NULs after the last record.
        while let first = rest.first, first != 0 {
            guard let space = rest.prefix(20).firstIndex(of: UInt8(ascii: " ")),
                let length = decimal(rest[..<space]).flatMap(Int.init(exactly:)),
                length <= rest.count,
                length > space - rest.startIndex + 1
            else {
                throw FormatError(.tar, place: place, problem: "has a PAX record without a valid length")
            }
            let record = rest[(space + 1)..<(rest.startIndex + length)]
            guard record.last == UInt8(ascii: "\n"), let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
                throw FormatError(.tar, place: place, problem: "has a PAX record that is not KEY=VALUE and a newline")
            }
            try set(
                key: String(decoding: record[..<equals], as: UTF8.self),
                to: Array(record[(equals + 1)...].dropLast()), place: place)
            rest = rest[(rest.startIndex + length)...]
        }
    }

    private mutating func set(key: String, to value: [UInt8], place: String) throws(FormatError) {
        switch key {
        case "path":
            guard !value.contains(0) else {
                throw FormatError(.tar, place: place, problem: "has a PAX path with a NUL in it")
            }
            path.set(value.isEmpty ? nil : value)
        case "size":
            guard !value.isEmpty else { return sizeBytes.set(nil) }
            guard let size = decimal(value[...]), size <= Int64.max else {
                throw FormatError(
                    .tar, place: place,
                    problem: "has a PAX size that is not a number up to 2^63 - 1: "
                        + quoted(String(decoding: value, as: UTF8.self)))
            }
            sizeBytes.set(size)
        default:
            if key.hasPrefix("GNU.sparse.") { isSparse = true }
        }
    }

    /// Adopts the records of `other`.
    mutating func merge(_ other: PaxRecords) {
        if other.path.present { path = other.path }
        if other.sizeBytes.present { sizeBytes = other.sizeBytes }
        isSparse = isSparse || other.isSparse
    }
}

/// Parses a number of decimal digits only; nil for anything else, or on overflow.
func decimal(_ digits: some Sequence<UInt8>) -> UInt64? {
    var value: UInt64?
    for byte in digits {
        guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte else { return nil }
        let (tens, overflow) = (value ?? 0).multipliedReportingOverflow(by: 10)
        let (sum, carry) = tens.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
        guard !overflow, !carry else { return nil }
        value = sum
    }
    return value
}
