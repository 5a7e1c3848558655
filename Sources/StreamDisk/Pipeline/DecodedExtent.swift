/// A contiguous range of the image and its place on the device: decoded data in a slot, zeros, or bytes that the device holds
/// already.
package struct DecodedExtent {
    /// The memory that holds the bytes; nil if they need no slot: zeros, or bytes of the device.
    let memory: (ring: SlotRing, slot: Int, ringOffset: Int)?
    let lengthBytes: Int
    /// Byte offset on the device.
    let deviceOffset: UInt64
    /// XXH3 of the bytes if the consumer wants checksums; nil for zeros.
    var checksum: UInt64? = nil
    /// Whether the device holds the bytes: then nothing is written.
    private(set) var isReused = false

    package init(memory: (ring: SlotRing, slot: Int, ringOffset: Int)?, lengthBytes: Int, deviceOffset: UInt64) {
        self.memory = memory
        self.lengthBytes = lengthBytes
        self.deviceOffset = deviceOffset
    }

    /// - Parameter found: proof that the device holds the bytes.
    init(_ found: FoundBytes) {
        memory = nil
        lengthBytes = found.lengthBytes
        deviceOffset = found.deviceOffset
        checksum = found.checksum
        isReused = true
    }

    var isZero: Bool { memory == nil && !isReused }
    var deviceEnd: UInt64 { deviceOffset + UInt64(lengthBytes) }

    /// Called once by the consumer, when it no longer needs the bytes.
    package func release() { if let memory { memory.ring.release(slot: memory.slot) } }
}
