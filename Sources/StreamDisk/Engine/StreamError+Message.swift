// The one place where errors become sentences for a person: what, where, why, and what to do.

extension StreamError: CustomStringConvertible {
    /// One line.
    public var description: String {
        var text = cause.description
        switch disk {
        case .untouched: text += ". Nothing was written"
        case .withoutTable:
            text += ". The disk was partly written and carries no partition table, so nothing can boot from it by mistake; "
                + "run again to write it anew"
        case .uncertain:
            text += ". The disk failed while its partition table was changed: do not trust what is on it"
        }
        return text
    }
}

extension StreamFault: CustomStringConvertible {
    /// What went wrong, where and why, without what it means for the disk.
    public var description: String {
        switch self {
        case .image(let error): "invalid image: \(error.place): \(error.problem)"
        case .source(let error): error.sentence
        case .device(let error): error.sentence
        case .mismatch(let mismatch): mismatch.sentence
        case .disk(let error): error.path.map { "\($0): \(error.reason)" } ?? error.reason
        case .memory(let needed, let limit):
            "decoding needs \(sizeText(needed)) of memory, the limit is \(sizeText(limit))"
        case .cancelled: "interrupted"
        case .host(let operation, let cause): "cannot \(operation): \(cause)"
        }
    }
}

extension SourceError {
    fileprivate var sentence: String {
        let place = offset.map { "\(source) at byte \($0)" } ?? source
        return switch kind {
        case .notFound: "no such image: \(place): \(reason)"
        case .unreachable: "cannot fetch the image: \(place): \(reason)"
        case .notPermitted: "not permitted to read the image: \(place): \(reason)"
        case .unsupported: "the server cannot serve this image: \(place): \(reason)"
        case .changed: "the image changed while it was read: \(place): \(reason)"
        case .invalidReference: "not an image reference: \(place): \(reason)"
        case .stopped: "interrupted"
        }
    }
}

extension DiskMismatch {
    fileprivate var sentence: String {
        let place = area?.description ?? "it"
        let range = "\(lengthBytes == 1 ? "1 byte" : "\(lengthBytes) bytes") at byte \(offset)"
        switch expectation {
        case .written: return "\(path) failed: \(place) reads back other bytes than were written, in \(range)"
        case .image:
            let more = count > 1 ? " (the first of \(count) pieces that differ)" : ""
            return "\(path) does not hold this image: \(place) has other bytes, in \(range)\(more)"
        }
    }
}

extension DeviceError {
    fileprivate var sentence: String {
        let action =
            switch operation {
            case .open: "opening it"
            case .write: "a write"
            case .zero: "zeroing"
            case .read: "a read"
            case .flush: "a flush of its cache"
            case .close: "closing it"
            }
        guard let offset, let lengthBytes else { return "\(path) failed: \(action): \(cause)" }
        return "\(path) failed: \(action) of \(lengthBytes) bytes at byte \(offset): \(cause)"
    }
}
