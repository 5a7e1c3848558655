/// The decoder's place in its `SlotRing`: hands out room for the next block, and passes full slots on.
///
/// One image at a time: `start`, then `reserve` and `advance` per block, then `finish`.
struct SlotCursor: ~Copyable {
    private let ring: SlotRing
    private let verifier: FrameChecksumVerifier
    private let emit: (DecodedExtent) -> Void

    /// Where the image lies on the device, in bytes, and the device's block size.
    private var deviceOffset: UInt64 = 0
    private var blockBytes = 512

    /// Stream position of ring offset 0 in this lap.
    private var lapStart: UInt64 = 0
    private var lapBytes = 0
    /// Ring offsets: everything before `position` is decoded, before `emitted` passed on, before `ready` known to be free.
    private var position = 0
    private var emitted = 0
    private var ready = 0
    /// Up to where the content of a frame with a checksum was given to `check`; nil in other frames.
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

    /// A new frame begins here and needs laps of so many bytes; shorter laps touch less memory.
    mutating func startFrame(lapBytes bytes: Int, hasChecksum: Bool) {
        precondition(bytes <= ring.capacityBytes)
        lapBytes = bytes
        checked = hasChecksum ? position : nil
    }

    /// The frame that has a checksum ends here.
    mutating func endFrame(checksum: UInt32, of image: ImageJob, at position: UInt64) {
        passContent(upTo: self.position)
        verifier.end(checksum: checksum, of: image, at: position)
    }

    /// Room for a block of up to `bytes` (overrun included), waiting for writes that still use it. Returns its ring offset.
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

    /// Gives the frame's content up to `end`, all in one slot, to be checked.
    private mutating func passContent(upTo end: Int) {
        guard let start = checked else { return }
        verifier.content(start..<end)
        checked = end
    }

    /// Passes the rest on. The last block is padded with zeros to the device's block size: the partition is made of whole
    /// blocks, so this stays inside it.
    mutating func finish() throws(Stopped) {
        let end = (position + blockBytes - 1) / blockBytes * blockBytes
        if end > position {
            // At most to the end of the slot that is being filled, whose size is a multiple of any block.
            try waitReady(upTo: end)
            ring.buffer.zero(position, count: end - position)
        }
        if end > emitted { emitPiece(upTo: end) }
    }

    /// Ends the lap: what is not yet a whole alignment unit moves to the ring's start, so that stream and ring stay aligned.
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

    /// Passes on what lies between `emitted` and `end`, all in one slot: runs of zeros as such, the rest as writes.
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

    /// What is looked at for zeros at a time: a file system's usual block.
    private static let grainBytes = 4096
}
