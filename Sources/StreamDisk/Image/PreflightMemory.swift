/// The memory that reading an image's metadata and partition table takes: asked for before it is taken.
struct PreflightMemory {
    let limits: MemoryLimits
    private(set) var metadataBytes: UInt64 = 0

    init(limits: MemoryLimits) { self.limits = limits }

    /// `metadata.json` as bytes, as text, as JSON values and as what is kept of them, all at once. Measured at its limits: four
    /// times its size where it is one long text, ten times where it is a list of 80,000 packages with names of one letter.
    private static func memoryBytes(metadataBytes: UInt64) -> UInt64 { 4 * metadataBytes + min(8 * metadataBytes, 64 << 20) }
    /// So much of it is in what every run needs (`MemoryNeed`): metadata of some 300 KiB, with hundreds of packages.
    private static let includedBytes: UInt64 = 4 << 20

    /// What it takes of memory beside that.
    static func memoryBytesBeside(metadataBytes: UInt64, tableBytes: UInt64 = 0) -> UInt64 {
        let bytes = memoryBytes(metadataBytes: metadataBytes) + tableBytes
        return bytes - min(bytes, includedBytes)
    }

    mutating func willRead(metadataBytes: UInt64) throws(StreamFault) {
        self.metadataBytes = metadataBytes
        try expectRoom(tableBytes: 0)
    }

    /// - Parameters:
    ///   - tableBytes: of the GPT image, decoded; held as bytes, by libzstd as its window, and as what is kept of it.
    ///   - compressedBytes: of the same in the file.
    func willDecode(tableBytes: UInt64, from compressedBytes: UInt64, windowBytes: UInt64) throws(StreamFault) {
        try expectRoom(tableBytes: compressedBytes + 2 * tableBytes + min(windowBytes, tableBytes))
    }

    private func expectRoom(tableBytes: UInt64) throws(StreamFault) {
        let beside = Self.memoryBytesBeside(metadataBytes: metadataBytes, tableBytes: tableBytes)
        guard beside > 0 else { return }
        try limits.expectRoom(for: MemoryNeed(bytes: beside))
    }
}
