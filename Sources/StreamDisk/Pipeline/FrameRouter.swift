import CosiFormat
import Synchronization

/// Receives an image's bytes on a fetch thread: hashes them while they are in the cache, finds the frames, and assigns each to
/// a lane.
///
/// A frame may start on another lane only if its position in the image is known and aligned, so that two lanes never share a
/// block, and if the current group of frames has filled at least one slot, so that small frames do not become small writes. It
/// then goes to the least loaded lane.
final class FrameRouter: ByteSink, @unchecked Sendable {
    // SAFETY of Sendable: used only by the fetch thread that made it.
    private let pool: LanePool
    private let limits: LaneLimits
    private let counters: TransferCounters
    private var hash = SHA384()

    private var image: ImageJob
    private var splitter = FrameSplitter()
    private var lane: Lane?
    /// Offsets in the decoded image: the start of the current group of frames, and the start of the next frame; nil if a frame
    /// does not state its size.
    private var groupOffset: UInt64 = 0
    private var nextOffset: UInt64? = 0
    private var takenBytes: UInt64 = 0
    /// Frames that began, of those that the index lists.
    private var frameCount = 0
    /// Why `append` stopped.
    private var fault: StreamFault?

    init(_ image: ImageJob, pool: LanePool, counters: TransferCounters) {
        self.image = image
        self.pool = pool
        limits = pool.limits
        self.counters = counters
    }

    deinit { release() }

    func append(_ bytes: RawSpan) throws(Stopped) {
        if case .whole = image.check { hash.update(bytes) }
        counters.fetchedBytes.wrappingAdd(UInt64(bytes.byteCount), ordering: .relaxed)
        do throws(StreamFault) {
            try route(bytes)
        } catch {
            fault = error
            throw Stopped()
        }
    }

    /// Called after the image's last byte or the source's error: checks the hash and the end, and releases the lane.
    func finish(_ sourceError: SourceError?) throws(StreamFault) {
        defer { release() }
        if let fault { throw fault }
        if let sourceError { throw StreamFault(sourceError) }
        switch image.check {
        case .whole(let sha384):
            let digest = hash.finish()
            guard digest == sha384 else {
                throw .image(
                    .dataHash, image.place, "its SHA-384 is \(digest.hexadecimal), its metadata says \(sha384.hexadecimal)")
            }
        case .frames(let frames):
            guard frameCount == frames.count else { throw image.unlisted(at: takenBytes) }
        }
        guard splitter.isAtFrameEnd else { throw image.corrupt(.truncated, at: "its end") }
        if let lane {
            lane.give(.endOfImage(image, streamOffset: groupOffset))
        } else if image.decodedBytes != 0 {
            throw image.wrongLength(0)
        }
    }

    private func release() {
        if let lane { pool.release(lane) }
        lane = nil
    }

    private func route(_ bytes: RawSpan) throws(StreamFault) {
        var done = 0
        while done < bytes.byteCount {
            let rest = bytes.extracting(done..<bytes.byteCount)
            let next: (piece: FrameSplitter.Piece, byteCount: Int)
            do throws(ZstdError) {
                next = try splitter.next(rest)
            } catch {
                throw image.corrupt(error, at: "compressed byte \(takenBytes + UInt64(done))")
            }
            switch next.piece {
            case .held, .skippable: break
            case .frame(let header, let headerBytes):
                let start = takenBytes + UInt64(done + next.byteCount) - UInt64(headerBytes.count)
                try begin(header, sha256: try listedHash(header, at: start))
                try send(unsafe headerBytes.span.bytes)
            case .content, .contentToEnd: try send(rest.extracting(0..<next.byteCount))
            }
            done += next.byteCount
        }
        takenBytes += UInt64(bytes.byteCount)
    }

    /// The hash that the index has of a frame's content; nil if the whole image is hashed. Throws if the index lists no such
    /// frame at `start` of what is fetched.
    private func listedHash(_ header: ZstdFrameHeader, at start: UInt64) throws(StreamFault) -> ContentHash? {
        guard case .frames(let frames) = image.check else { return nil }
        let index = frames.startIndex + frameCount
        guard index < frames.endIndex, frames[index].compressedOffset - frames[frames.startIndex].compressedOffset == start,
            header.contentBytes == UInt64(frames[index].contentBytes)
        else { throw image.unlisted(at: start) }
        frameCount += 1
        return frames[index].sha256
    }

    /// A frame begins: checks its header, chooses its lane, and gives that the task.
    private func begin(_ header: ZstdFrameHeader, sha256: ContentHash?) throws(StreamFault) {
        guard !header.needsDictionary else {
            throw .image(.data, image.place, "a frame needs a dictionary; there are none in COSI")
        }
        guard header.windowBytes <= limits.windowBytesMax else {
            throw .image(
                .data, image.place,
                "a frame needs a window of \(header.windowBytes) bytes, compression.maxWindowLog allows "
                    + "\(limits.windowBytesMax)")
        }
        let start = nextOffset
        if let start, let content = header.contentBytes, content > image.decodedBytes - start {
            throw image.tooLong
        }
        let end = start.flatMap { start in header.contentBytes.map { start + $0 } }
        var continues = true
        if let start, lane == nil || mayGoElsewhere(start) {
            release()
            let next = try pool.acquire()
            lane = next
            groupOffset = start
            continues = false
            if start == 0 {
                pool.prefault.request(
                    next.buffer, bytes: limits.lapBytes(header, contentBytesMax: image.decodedBytes))
            }
        }
        nextOffset = end
        lane?.give(
            .frame(
                FrameTask(
                    image: image, header: header, sha256: sha256, streamOffset: groupOffset, continuesLast: continues,
                    nextMayGoElsewhere: end.map { mayGoElsewhere($0) } ?? false)))
    }

    /// Whether a frame at this offset may start on another lane. The current group must have filled a slot: each group hands
    /// over its last slot as it is, and many small groups would mean many small writes.
    private func mayGoElsewhere(_ offset: UInt64) -> Bool {
        offset % UInt64(SlotRing.alignmentBytes) == 0 && offset - groupOffset >= UInt64(limits.slotBytes)
    }

    private func send(_ bytes: RawSpan) throws(StreamFault) {
        do throws(Stopped) { try lane?.pipe.append(bytes) } catch { throw .cancelled }
    }
}
