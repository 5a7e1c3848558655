import CLinux
import CosiFormat
import Glibc

/// An image in a regular file or on a block device of this host.
package final class FileSource: ByteSource {
    private struct File {
        var descriptor: Int32
        var sizeBytes: UInt64
        var origin: LocalOrigin
    }

    /// Bytes per read: large enough to be efficient, small enough for the caches and for a quick stop.
    private static let pieceBytes = 256 << 10

    package let name: String
    private let path: String
    private let file = Monitor<File?>(nil)

    package init(path: String) throws(SourceError) {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw SourceError(.invalidReference, source: "'\(path)'", reason: "the path is empty or holds a NUL byte")
        }
        self.path = path
        self.name = path
    }

    /// `file:///path` or `file://localhost/path`, percent-encoded (RFC 8089 §2).
    package convenience init(url: String) throws(SourceError) {
        let rest = url.dropFirst("file://".count)
        let local = rest.hasPrefix("localhost/") ? rest.dropFirst("localhost".count) : rest
        guard local.hasPrefix("/"), let path = percentDecoded(local) else {
            throw SourceError(
                .invalidReference, source: withoutSecrets(url),
                reason: "a file URL names an absolute path of this host: file:///path")
        }
        try self.init(path: path)
    }

    deinit { close() }

    package func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead {
        let opened = try openFile()
        let old = file.withLock { file in
            defer { file = opened }
            return file
        }
        if let old { Glibc.close(old.descriptor) }
        let head = CollectingSink(bytesMax: max(wantedBytes, 0))
        try read(0..<min(UInt64(max(wantedBytes, 0)), opened.sizeBytes), into: head, observer: observer)
        return ImageHead(bytes: head.bytes, sizeBytes: opened.sizeBytes, isSequential: false)
    }

    package func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError) {
        guard let file = file.withLock({ $0 }) else {
            throw SourceError(.unreachable, source: name, reason: "the file is not open", offset: range.lowerBound)
        }
        guard range.upperBound <= file.sizeBytes else { throw ended(at: file.sizeBytes, wanted: range) }
        var position = range.lowerBound
        let length = Int(min(UInt64(Self.pieceBytes), range.upperBound - position))
        // SAFETY: this call owns the buffer until it returns; spans of it do not outlive an append.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
        defer { unsafe buffer.deallocate() }
        while position < range.upperBound {
            if observer.cancellation.isCancelled { throw failure(.stopped, "cancelled", at: position) }
            let wanted = Int(min(UInt64(length), range.upperBound - position))
            let count = unsafe pread(file.descriptor, buffer.baseAddress, wanted, off_t(position))
            if count < 0 {
                let cause = SystemError.current
                if cause.code == EINTR { continue }
                throw failure(.unreachable, "cannot be read: \(cause)", at: position)
            }
            guard count > 0 else { throw ended(at: position, wanted: range) }
            do throws(Stopped) {
                try unsafe sink.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]).bytes)
            } catch {
                throw failure(.stopped, "cancelled", at: position)
            }
            position += UInt64(count)
        }
    }

    package var localOrigin: LocalOrigin? { file.withLock { $0?.origin } }

    package func close() {
        if let open = file.withLock({ $0.take() }) { Glibc.close(open.descriptor) }
    }

    private func openFile() throws(SourceError) -> File {
        // With O_NONBLOCK, opening a FIFO does not wait for a writer. Files and block devices ignore it.
        let descriptor: Int32
        do throws(SystemError) {
            let number = unsafe cl_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
            if number < 0 { throw .current }
            descriptor = try Descriptor.aboveStandard(number)
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR: throw failure(.notFound, "no such file")
            case EACCES, EPERM: throw failure(.notPermitted, "\(error)")
            case ELOOP, ENAMETOOLONG, EISDIR, ENXIO: throw failure(.invalidReference, "\(error)")
            default: throw failure(.unreachable, "cannot be opened: \(error)")
            }
        }
        do throws(SourceError) {
            let (sizeBytes, origin) = try examine(descriptor)
            // Only a hint: if it is refused, nothing changes.
            posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
            return File(descriptor: descriptor, sizeBytes: sizeBytes, origin: origin)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    private func examine(_ descriptor: Int32) throws(SourceError) -> (sizeBytes: UInt64, origin: LocalOrigin) {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw failure(.unreachable, "cannot be examined: \(SystemError.current)")
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return (UInt64(max(status.st_size, 0)), LocalOrigin(status))
        case S_IFBLK:
            var sizeBytes: UInt64 = 0
            guard unsafe cl_block_size_bytes(descriptor, &sizeBytes) == 0 else {
                throw failure(.unreachable, "its size cannot be told: \(SystemError.current)")
            }
            return (sizeBytes, LocalOrigin(status))
        case S_IFDIR: throw failure(.invalidReference, "is a directory")
        default: throw failure(.invalidReference, "is neither a regular file nor a block device")
        }
    }

    private func ended(at position: UInt64, wanted range: Range<UInt64>) -> SourceError {
        failure(.changed, "ends at byte \(position), but byte \(range.upperBound - 1) is needed", at: position)
    }

    private func failure(_ kind: SourceError.Kind, _ reason: String, at offset: UInt64? = nil) -> SourceError {
        SourceError(kind, source: name, reason: reason, offset: offset)
    }
}

/// Decodes `%XX` (RFC 3986 §2.1); nil if an escape is malformed or the bytes are not UTF-8.
private func percentDecoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit)
        else { return nil }
        bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
}
