import CosiFormat
import Synchronization

/// Decodes one image: skippable frames, any number of data frames, exact ends.
struct ImageDecoding {
    private let job: ImageJob
    private let pipe: LanePipe
    private let limits: LaneLimits
    /// Compressed bytes of this image still in the pipe or to come.
    private var inputLeft: UInt64

    init(job: ImageJob, pipe: LanePipe, limits: LaneLimits) {
        self.job = job
        self.pipe = pipe
        self.limits = limits
        inputLeft = job.compressedBytes
    }

    mutating func run(
        decoder: inout ZstdDecoder, cursor: inout SlotCursor, counter: Counters
    ) throws(StreamFault) {
        do {
            while inputLeft > 0 {
                let header = try nextHeader()
                switch header {
                case .skippable(let contentBytes):
                    try skip(8 + contentBytes)
                case .data(let windowBytes, let contentBytes, let blockBytesMax, let needsDictionary):
                    let left = job.uncompressedBytes - cursor.streamOffset
                    guard !needsDictionary else { throw invalid("a frame needs a dictionary; there are none in COSI") }
                    guard windowBytes <= limits.windowBytesMax else {
                        throw invalid(
                            "a frame needs a window of \(windowBytes) bytes, compression.maxWindowLog allows "
                                + "\(limits.windowBytesMax)")
                    }
                    if let contentBytes, contentBytes > left { throw tooLong }
                    // What the frame can hold bounds what it looks back on.
                    let lap = SlotRing.lapBytes(
                        windowBytes: windowBytes, contentBytes: contentBytes ?? left, blockBytesMax: blockBytesMax,
                        inFlightBytes: limits.inFlightBytes)
                    cursor.setLap(bytes: Int(lap))
                    try decodeFrame(blockBytesMax: blockBytesMax, decoder: &decoder, cursor: &cursor, counter: counter)
                }
            }
            guard cursor.streamOffset == job.uncompressedBytes else {
                throw invalid(
                    "it decodes to \(cursor.streamOffset) bytes, its metadata says \(job.uncompressedBytes)")
            }
            try cursor.finish()
        } catch let fault as StreamFault {
            throw fault
        } catch {
            throw .cancelled
        }
    }

    private mutating func decodeFrame(
        blockBytesMax: Int, decoder: inout ZstdDecoder, cursor: inout SlotCursor, counter: Counters
    ) throws {
        do { try decoder.begin() } catch { throw corrupt(error) }
        let room = blockBytesMax + ZstdDecoder.overrunBytes
        while case let count = decoder.nextInputBytes, count > 0 {
            guard UInt64(count) <= inputLeft, count <= LanePipe.pieceBytesMax else { throw corrupt(.truncated) }
            let output = try cursor.reserve(room)
            let produced: Int
            do throws(PipeError<ZstdError>) {
                produced = try pipe.peek(count) { input throws(ZstdError) in
                    guard input.byteCount == count else { throw .truncated }
                    return try decoder.decode(input, into: cursor.buffer, at: output, capacity: room)
                }
            } catch {
                switch error {
                case .stopped: throw Stopped()
                case .consumer(let error): throw corrupt(error)
                }
            }
            consume(count)
            // A bomb stops here: nothing past the limit is ever handed to the writer.
            guard UInt64(produced) <= job.uncompressedBytes - cursor.streamOffset else { throw tooLong }
            cursor.advance(produced)
            counter.decodedBytes.wrappingAdd(UInt64(produced), ordering: .relaxed)
        }
    }

    private func nextHeader() throws -> ZstdFrameHeader {
        do throws(PipeError<ZstdError>) {
            return try pipe.peek(Int(min(inputLeft, UInt64(ZstdFrameHeader.sizeBytesMax)))) {
                bytes throws(ZstdError) in try ZstdFrameHeader(bytes)
            }
        } catch {
            switch error {
            case .stopped: throw Stopped()
            case .consumer(let error): throw corrupt(error)
            }
        }
    }

    private mutating func skip(_ count: UInt64) throws {
        guard count <= inputLeft else { throw corrupt(.truncated) }
        guard try pipe.skip(count) == count else { throw corrupt(.truncated) }
        inputLeft -= count
    }

    private mutating func consume(_ count: Int) {
        pipe.consume(count)
        inputLeft -= UInt64(count)
    }

    private func invalid(_ problem: String) -> StreamFault { .image(job.place, problem) }

    private var tooLong: StreamFault {
        invalid("it decodes to more than the \(job.uncompressedBytes) bytes its metadata says")
    }

    private func corrupt(_ error: ZstdError) -> StreamFault {
        let at = "\(job.compressedBytes - inputLeft) of \(job.compressedBytes)"
        return switch error {
        case .truncated: invalid("its last zstd frame is cut off (compressed byte \(at))")
        case .corrupt(let words): invalid("corrupt zstd data at compressed byte \(at): \(words)")
        }
    }
}
