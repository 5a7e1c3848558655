/// Read buffers: one chunk per read in flight, each as long as the longest extent.
struct ReadChunks {
    static let chunkBytes = LanePlan.slotBytes
    static let chunkCount = 8
    static let totalBytes = UInt64(chunkCount * chunkBytes)

    let memory: DirectBuffer
    private var free: [Int]

    init(count: Int = chunkCount) throws(StreamFault) {
        memory = try DirectBuffer.reserved(sizeBytes: count * Self.chunkBytes)
        free = Array(0..<count)
    }

    var isEmpty: Bool { free.isEmpty }

    /// Takes a free chunk and returns its offset in `memory`. There must be one.
    mutating func take() -> Int {
        guard let chunk = free.popLast() else { preconditionFailure("more reads than chunks") }
        return chunk * Self.chunkBytes
    }

    mutating func giveBack(_ place: Int) { free.append(place / Self.chunkBytes) }

    func read(_ offset: UInt64, count: Int, to place: Int) -> DiskRequest {
        precondition(count <= Self.chunkBytes)
        return DiskRequest(
            operation: .read, offset: offset, buffer: memory, bufferOffset: place, lengthBytes: count, tag: 0)
    }
}
