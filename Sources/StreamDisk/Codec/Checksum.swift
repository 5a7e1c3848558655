import CXXHash

extension DirectBuffer {
    /// XXH3, 64 bits, of bytes that nobody is writing: against a disk's mistakes, not against an adversary.
    func checksum(_ offset: Int, count: Int) -> UInt64 {
        // SAFETY: `address` checks that so many bytes lie there.
        unsafe XXH3_64bits(address(offset, count: count), count)
    }
}
