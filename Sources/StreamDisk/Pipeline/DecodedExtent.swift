/// A contiguous range of decoded bytes and its place on the device: data in a slot, or zeros.
package struct DecodedExtent {
    /// The memory that holds the bytes; nil if all of them are zeros, which need no slot.
    let memory: (ring: SlotRing, slot: Int, ringOffset: Int)?
    let lengthBytes: Int
    /// Byte offset on the device.
    let deviceOffset: UInt64
    /// XXH3 of the bytes if the consumer wants checksums; nil for zeros.
    var checksum: UInt64? = nil

    package init(memory: (ring: SlotRing, slot: Int, ringOffset: Int)?, lengthBytes: Int, deviceOffset: UInt64) {
        self.memory = memory
        self.lengthBytes = lengthBytes
        self.deviceOffset = deviceOffset
    }

    var isZero: Bool { memory == nil }
    var deviceEnd: UInt64 { deviceOffset + UInt64(lengthBytes) }

    /// Called once by the consumer, when it no longer needs the bytes.
    package func release() { if let memory { memory.ring.release(slot: memory.slot) } }
}
