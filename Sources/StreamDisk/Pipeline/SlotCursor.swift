/// The decoder's position in its `SlotRing`: provides room for the next block and passes on full slots.
///
/// Handles one image at a time: `start`, then `reserve` and `advance` per block, then `finish`.
struct SlotCursor: ~Copyable {
    private let ring: SlotRing
    private let verifier: FrameChecksumVerifier
    private let emit: (DecodedExtent) -> Void

    /// The image's byte offset on the device, and the device's block size.
    private var deviceOffset: UInt64 = 0
    private var blockBytes = 512

    /// Offset in the decoded image of ring offset 0 in this lap.
    private var lapStart: UInt64 = 0
    private var lapBytes = 0
    /// Ring offsets: everything before `position` is decoded, before `emitted` is passed on, before `ready` is known to be
    /// free.
    private var position = 0
    private var emitted = 0
    private var ready = 0
    private var hash = FrameHash.xxh64
    /// The content of a frame with a hash was passed to the verifier up to this ring offset; nil in other frames.
    private var checked: Int?

    init(ring: SlotRing, verifier: FrameChecksumVerifier, emit: @escaping (DecodedExtent) -> Void) {
        self.ring = ring
        self.verifier = verifier
        self.emit = emit
    }

    var buffer: DirectBuffer { ring.buffer }

    /// Decoded bytes of the image so far.
    var streamOffset: UInt64 { lapStart + UInt64(position) }

    mutating func start(deviceOffset: UInt64, blockBytes: Int) {
        precondition(SlotRing.alignmentBytes % blockBytes == 0 && deviceOffset % UInt64(blockBytes) == 0)
        self.deviceOffset = deviceOffset
        self.blockBytes = blockBytes
        lapStart = 0
        lapBytes = ring.capacityBytes
        position = 0
        emitted = 0
        ready = 0
    }

    /// A new frame begins, for which a lap of `bytes` is enough. Shorter laps touch less memory.
    mutating func startFrame(lapBytes bytes: Int, hash: FrameHash?) {
        precondition(bytes <= ring.capacityBytes)
        lapBytes = bytes
        checked = hash == nil ? nil : position
        self.hash = hash ?? .xxh64
    }

    /// A frame with a hash ends here.
    mutating func endFrame(with value: FrameHash.Value, of image: ImageJob, at position: UInt64) {
        passContent(upTo: self.position)
        verifier.end(value, of: image, at: position)
        checked = nil
    }

    /// Returns the ring offset of room for a block of up to `bytes` (including overrun). Waits for writes that still use it.
    mutating func reserve(_ bytes: Int) throws(Stopped) -> Int {
        precondition(bytes + SlotRing.alignmentBytes <= lapBytes)
        if position + bytes > lapBytes { try wrap() }
        try waitReady(upTo: position + bytes)
        return position
    }

    /// `bytes` of the room were filled.
    mutating func advance(_ bytes: Int) {
        position += bytes
        precondition(position <= ready)
        while emitted / ring.slotBytes < position / ring.slotBytes {
            emitPiece(upTo: (emitted / ring.slotBytes + 1) * ring.slotBytes)
        }
        while let checked, checked / ring.slotBytes < position / ring.slotBytes {
            passContent(upTo: (checked / ring.slotBytes + 1) * ring.slotBytes)
        }
    }

    /// Passes the frame's content up to `end`, all in one slot, to the verifier.
    private mutating func passContent(upTo end: Int) {
        guard let start = checked else { return }
        verifier.content(start..<end, hash)
        checked = end
    }

    /// Passes on the rest. Pads the last block with zeros to the device's block size: a partition consists of whole blocks, so
    /// the padding stays inside it.
    mutating func finish() throws(Stopped) {
        let end = (position + blockBytes - 1) / blockBytes * blockBytes
        if end > position {
            // At most to the end of the current slot, whose size is a multiple of any block size.
            try waitReady(upTo: end)
            ring.buffer.zero(position, count: end - position)
        }
        if end > emitted { emitPiece(upTo: end) }
    }

    /// Ends the lap: moves what is less than an alignment unit to the ring's start, so that stream and ring stay aligned.
    private mutating func wrap() throws(Stopped) {
        let whole = position / SlotRing.alignmentBytes * SlotRing.alignmentBytes
        let carried = position - whole
        if whole > emitted { emitPiece(upTo: whole) }
        passContent(upTo: position)
        let from = whole
        lapStart += UInt64(whole)
        emitted = 0
        ready = 0
        try waitReady(upTo: max(carried, 1))
        ring.buffer.move(from: from, to: 0, count: carried)
        position = carried
        if checked != nil { checked = carried }
    }

    private mutating func waitReady(upTo end: Int) throws(Stopped) {
        while ready < end {
            let slot = ready / ring.slotBytes
            try ring.waitUntilFree(slot: slot)
            ready = (slot + 1) * ring.slotBytes
        }
    }

    /// Passes on the bytes from `emitted` to `end`, all in one slot: runs of zeros as zeros, the rest as data.
    private mutating func emitPiece(upTo end: Int) {
        let zeros = ZeroRuns(in: ring.buffer, from: emitted, to: end, grainBytes: max(blockBytes, Self.grainBytes))
        for run in zeros { emit(run.isZero, from: run.range.lowerBound, to: run.range.upperBound) }
        emitted = end
    }

    private func emit(_ isZero: Bool, from start: Int, to end: Int) {
        let slot = start / ring.slotBytes
        if !isZero { ring.retain(slot: slot) }
        emit(
            DecodedExtent(
                memory: isZero ? nil : (ring, slot, start), lengthBytes: end - start,
                deviceOffset: deviceOffset + lapStart + UInt64(start)))
    }

    /// The unit in which zeros are detected: the usual block size of file systems.
    private static let grainBytes = 4096
}
