/// Takes libFuzzer's bytes apart from the front.
struct FuzzInput {
    private(set) var bytes: [UInt8]

    // SAFETY: libFuzzer passes `count` readable bytes, which are copied here.
    @unsafe
    init(_ data: UnsafePointer<UInt8>?, _ count: Int) {
        bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
    }

    /// Zero when there are none left.
    mutating func byte() -> UInt8 { bytes.isEmpty ? 0 : bytes.removeFirst() }

    mutating func number(bytes count: Int) -> UInt64 { (0..<count).reduce(0) { value, _ in value << 8 | UInt64(byte()) } }
}

/// What must hold for any input. libFuzzer takes the trap for a finding.
func require(_ rule: Bool, _ words: @autoclosure () -> String) {
    if !rule { fatalError(words()) }
}
