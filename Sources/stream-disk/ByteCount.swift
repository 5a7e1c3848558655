import ArgumentParser

/// A size as an argument: a whole number of bytes, or of KiB, MiB, GiB with K, M, G (also KiB, MiB, GiB) behind it.
struct ByteCount: ExpressibleByArgument {
    let bytes: UInt64

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let shift: UInt64
        switch argument.dropFirst(digits.count).lowercased() {
        case "": shift = 0
        case "k", "kib": shift = 10
        case "m", "mib": shift = 20
        case "g", "gib": shift = 30
        default: return nil
        }
        guard let number = UInt64(digits), number <= UInt64.max >> shift else { return nil }
        bytes = number << shift
    }
}
