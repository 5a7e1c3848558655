/// Compares disk names as a person would sort them: nvme2n1 < nvme10n1, sda < sdb < sdaa.
///
/// Digits, and the letters that count the disks of a driver, are compared by value; everything else byte by byte.
func naturallyPrecedes(_ left: String, _ right: String) -> Bool {
    var (one, two) = (pieces(of: left)[...], pieces(of: right)[...])
    while let first = one.popFirst(), let second = two.popFirst() {
        if first.isNumber != second.isNumber { return first.isNumber }
        if first.isNumber, first.digits.count != second.digits.count { return first.digits.count < second.digits.count }
        if !first.digits.elementsEqual(second.digits) { return first.digits.lexicographicallyPrecedes(second.digits) }
        // One part was taken from each list. The first list precedes only if the other has parts left.
        if one.isEmpty != two.isEmpty { return one.isEmpty }
    }
    // Names that differ only in leading zeros still get a fixed order.
    return left.utf8.lexicographicallyPrecedes(right.utf8)
}

private struct Piece {
    let isNumber: Bool
    let bytes: Substring.UTF8View

    /// Without leading zeros if it is a number.
    var digits: Substring.UTF8View { isNumber ? bytes.drop { $0 == UInt8(ascii: "0") } : bytes }
}

private func pieces(of name: String) -> [Piece] {
    for driver in ["sd", "hd", "vd", "xvd"] where name.hasPrefix(driver) {
        let letters = name.dropFirst(driver.count).utf8
        if letters.allSatisfy({ $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }) {
            return [Piece(isNumber: false, bytes: driver[...].utf8), Piece(isNumber: true, bytes: letters)]
        }
    }
    var pieces: [Piece] = []
    var rest = name.utf8[...]
    while let first = rest.first {
        let isNumber = isDigit(first)
        let bytes = rest.prefix { isDigit($0) == isNumber }
        pieces.append(Piece(isNumber: isNumber, bytes: bytes))
        rest = rest.dropFirst(bytes.count)
    }
    return pieces
}

private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
