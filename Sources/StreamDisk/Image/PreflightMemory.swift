/// The memory for reading an image's metadata and partition table. It is checked before it is used.
struct PreflightMemory {
    let limits: MemoryLimits
    private(set) var metadataBytes: UInt64 = 0

    init(limits: MemoryLimits) { self.limits = limits }

    /// `metadata.json` as bytes, text, JSON values and parsed values, all at once. Measured at the limits: four times its size
    /// for one long text, ten times for a list of 80,000 packages with one-letter names.
    private static func memoryBytes(metadataBytes: UInt64) -> UInt64 { 4 * metadataBytes + min(8 * metadataBytes, 64 << 20) }
    /// The part already included in every run's needs (`MemoryNeed`): metadata of some 300 KiB, with hundreds of packages.
    private static let includedBytes: UInt64 = 4 << 20

    /// The memory beyond that.
    static func memoryBytesBeside(metadataBytes: UInt64, tableBytes: UInt64 = 0) -> UInt64 {
        let bytes = memoryBytes(metadataBytes: metadataBytes) + tableBytes
        return bytes - min(bytes, includedBytes)
    }

    mutating func willRead(metadataBytes: UInt64) throws(StreamFault) {
        self.metadataBytes = metadataBytes
        try expectRoom(tableBytes: 0)
    }

    /// - Parameters:
    ///   - tableBytes: decoded size of the GPT image. It is held as bytes, as libzstd's window, and in parsed form.
    ///   - compressedBytes: its size in the file.
    func willDecode(tableBytes: UInt64, from compressedBytes: UInt64, windowBytes: UInt64) throws(StreamFault) {
        try expectRoom(tableBytes: compressedBytes + 2 * tableBytes + min(windowBytes, tableBytes))
    }

    private func expectRoom(tableBytes: UInt64) throws(StreamFault) {
        let beside = Self.memoryBytesBeside(metadataBytes: metadataBytes, tableBytes: tableBytes)
        guard beside > 0 else { return }
        try limits.expectRoom(for: MemoryNeed(bytes: beside))
    }
}
