import CXXHash

extension DirectBuffer {
    /// XXH3, 64 bits, of bytes that no thread is writing. Detects disk faults, not deliberate changes.
    package func checksum(_ offset: Int, count: Int) -> UInt64 {
        // SAFETY: `address` checks that `count` bytes lie there.
        unsafe XXH3_64bits(address(offset, count: count), count)
    }
}
