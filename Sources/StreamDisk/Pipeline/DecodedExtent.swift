/// A contiguous range of decoded bytes and its place on the device: data in a slot, or zeros.
package struct DecodedExtent {
    /// Where the bytes are; nil where all of them are zeros, and no slot is held.
    let memory: (ring: SlotRing, slot: Int, ringOffset: Int)?
    let lengthBytes: Int
    /// Byte position on the device.
    let deviceOffset: UInt64
    /// XXH3 of the bytes, where the consumer wants checksums; nil also for zeros.
    var checksum: UInt64? = nil

    package init(memory: (ring: SlotRing, slot: Int, ringOffset: Int)?, lengthBytes: Int, deviceOffset: UInt64) {
        self.memory = memory
        self.lengthBytes = lengthBytes
        self.deviceOffset = deviceOffset
    }

    var isZero: Bool { memory == nil }
    var deviceEnd: UInt64 { deviceOffset + UInt64(lengthBytes) }

    /// From the consumer, once: it needs the bytes no longer.
    package func release() { if let memory { memory.ring.release(slot: memory.slot) } }
}
