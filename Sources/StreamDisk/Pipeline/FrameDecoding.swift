import Synchronization

/// Decodes one frame from a lane's pipe into its ring, up to its exact end.
struct FrameDecoding {
    private let frame: FrameTask
    private let pipe: BytePipe
    private let limits: LaneLimits

    init(frame: FrameTask, pipe: BytePipe, limits: LaneLimits) {
        self.frame = frame
        self.pipe = pipe
        self.limits = limits
    }

    mutating func run(
        decoder: inout ZstdDecoder, cursor: inout SlotCursor, counter: TransferCounters
    ) throws(StreamFault) {
        let header = frame.header
        let done = frame.streamOffset + cursor.streamOffset
        precondition(done <= frame.image.decodedBytes && header.windowBytes <= limits.windowBytesMax)
        // If an earlier frame did not state its size, this offset was unknown when the frame was assigned to the lane.
        guard (header.contentBytes ?? 0) <= frame.image.decodedBytes - done else { throw frame.image.tooLong }
        // The frame's content size limits how far its blocks can refer back.
        cursor.startFrame(
            lapBytes: limits.lapBytes(header, contentBytesMax: frame.image.decodedBytes - done),
            hash: frame.sha256 != nil ? .sha256 : header.hasChecksum ? .xxh64 : nil)
        let room = header.blockBytesMax + ZstdDecoder.overrunBytes
        var frameBytes: UInt64 = 0
        do throws(ZstdError) { try decoder.begin() } catch { throw corrupt(error, cursor) }
        while case let count = decoder.nextInputBytes, count > 0 {
            guard count <= BytePipe.pieceBytesMax else { throw corrupt(.truncated, cursor) }
            let output: Int
            do throws(Stopped) { output = try cursor.reserve(room) } catch { throw .cancelled }
            let buffer = cursor.buffer
            let isChecksum = decoder.isAtChecksum
            var checksum: UInt32 = 0
            let produced: Int
            do throws(PipeError<ZstdError>) {
                produced = try pipe.peek(count) { input throws(ZstdError) in
                    guard input.byteCount == count else { throw .truncated }
                    if isChecksum { checksum = UInt32(littleEndian: unsafe input.unsafeLoadUnaligned(as: UInt32.self)) }
                    return try decoder.decode(input, into: buffer, at: output, capacity: room)
                }
            } catch {
                switch error {
                case .stopped: throw .cancelled
                case .consumer(let error): throw corrupt(error, cursor)
                }
            }
            pipe.consume(count)
            // The index's hash says more than the frame's checksum.
            if isChecksum, frame.sha256 == nil {
                cursor.endFrame(
                    with: .xxh64(checksum), of: frame.image, at: frame.streamOffset + cursor.streamOffset)
            }
            // Other lanes write where this frame states that it ends, and libzstd compares the length only if the last block is
            // not empty.
            frameBytes += UInt64(produced)
            if let stated = header.contentBytes, frameBytes > stated { throw lies(stated, "more") }
            // Stops a decompression bomb: nothing beyond the limit reaches the consumer.
            guard UInt64(produced) <= frame.image.decodedBytes - frame.streamOffset - cursor.streamOffset else {
                throw frame.image.tooLong
            }
            cursor.advance(produced)
            counter.decodedBytes.wrappingAdd(UInt64(produced), ordering: .relaxed)
        }
        if let stated = header.contentBytes, frameBytes != stated { throw lies(stated, "\(frameBytes)") }
        if let sha256 = frame.sha256 {
            cursor.endFrame(with: .sha256(sha256), of: frame.image, at: frame.streamOffset + cursor.streamOffset)
        }
    }

    private func lies(_ stated: UInt64, _ held: String) -> StreamFault {
        .image(.data, frame.image.place, "a frame states that it holds \(stated) bytes, and holds \(held)")
    }

    private func corrupt(_ error: ZstdError, _ cursor: borrowing SlotCursor) -> StreamFault {
        frame.image.corrupt(error, at: "decoded byte \(frame.streamOffset + cursor.streamOffset)")
    }
}

extension ImageJob {
    func wrongLength(_ bytes: UInt64) -> StreamFault {
        .image(.data, place, "it decodes to \(bytes) bytes, its metadata says \(decodedBytes)")
    }

    var tooLong: StreamFault {
        .image(.data, place, "it decodes to more than the \(decodedBytes) bytes its metadata says")
    }

    func unlisted(at start: UInt64) -> StreamFault {
        .image(.data, place, "its frames at compressed byte \(start) of what was fetched are not those of its content index")
    }

    /// The frame that ends at `position` of the decoded job.
    func notListed(before position: UInt64) -> StreamFault {
        .image(.dataHash, place, "the frame that ends at decoded byte \(position) has not the SHA-256 of its content index")
    }

    func corrupt(_ error: ZstdError, at position: String) -> StreamFault {
        switch error {
        case .truncated: .image(.data, place, "its last zstd frame is cut off (\(position))")
        case .corrupt(let words): .image(.data, place, "corrupt zstd data at \(position): \(words)")
        }
    }
}
