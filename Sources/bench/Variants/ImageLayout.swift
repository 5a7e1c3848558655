import CosiFormat
import FoundationEssentials
import Glibc
import StreamDisk

/// The layout of an image file for the alternatives, which parse nothing: where each part is, and where its bytes go.
struct ImageLayout {
    struct Part {
        var offset: UInt64
        var compressedBytes: UInt64
        var deviceOffset: UInt64
        var decodedBytes: UInt64
        /// SHA-384 of the compressed bytes, hexadecimal.
        var sha384: String

        /// The input of perf/parts.h.
        var argument: String { "\(offset):\(compressedBytes):\(deviceOffset):\(decodedBytes):\(sha384)" }
    }

    let path: String
    /// The primary GPT first, then the partitions in file order.
    let parts: [Part]
    let diskBytes: UInt64
    let blockBytes: Int
    let windowBytes: UInt64

    init(_ path: String) throws {
        self.path = path
        let contents = try inspectImage(from: try makeImageSource(path))
        let entries = try Self.entries(path)
        let table = try CosiLayout.gptImage(metadata: contents.metadata, entries: entries)
        parts =
            [
                Part(
                    offset: table.fileOffset, compressedBytes: table.compressedSizeBytes, deviceOffset: 0,
                    decodedBytes: table.decodedBytes, sha384: table.sha384.hexadecimal)
            ]
            + contents.images.map { image in
                Part(
                    offset: image.fileOffset, compressedBytes: image.compressedSizeBytes,
                    deviceOffset: image.partition.offsetBytes, decodedBytes: image.decodedBytes,
                    sha384: image.sha384.hexadecimal)
            }
        diskBytes = contents.requirement.sizeBytes
        blockBytes = contents.requirement.blockBytes
        windowBytes = contents.windowBytesMax
    }

    var compressedBytes: UInt64 { parts.reduce(0) { $0 + $1.compressedBytes } }
    var decodedBytes: UInt64 { parts.reduce(0) { $0 + $1.decodedBytes } }
    var settings: [String: String] {
        [
            "image": fileName(path), "compressed": sizeWords(Double(compressedBytes)),
            "decoded": sizeWords(Double(decodedBytes)), "window": sizeWords(Double(windowBytes)),
        ]
    }

    /// A shell command that prints the compressed bytes of a part.
    func extraction(of part: Part) -> String {
        "dd if='\(path)' bs=1M iflag=skip_bytes,count_bytes skip=\(part.offset) count=\(part.compressedBytes) status=none"
    }

    /// Writes each part's compressed bytes to a file of its own, as the tools need them.
    func extractParts(to folder: String) throws -> [String] {
        try parts.enumerated().map { index, part in
            let file = "\(folder)/part-\(index).zst"
            try Child.run(["bash", "-c", "\(extraction(of: part)) >'\(file)'"])
            return file
        }
    }

    /// The expected contents of the disk, from the zstd tool; without the table, which a larger disk changes.
    func expected() throws -> [Contents] {
        try parts.dropFirst().map { part in
            try Contents(of: "set -o pipefail; \(extraction(of: part)) | zstd -dqc --long=31")
        }
    }

    /// The actual contents of the disk.
    func actual(on disk: String) throws -> [Contents] {
        try parts.dropFirst().map { part in
            let range = "iflag=direct,skip_bytes,count_bytes skip=\(part.deviceOffset) count=\(part.decodedBytes)"
            return try Contents(of: "dd if=\(disk) bs=4M \(range) status=none")
        }
    }

    private static func entries(_ path: String) throws -> [TarEntry] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw BenchError("\(path) cannot be opened") }
        defer { close(file) }
        var scanner = TarScanner()
        var entries: [TarEntry] = []
        while let needs = scanner.needs {
            var bytes = [UInt8](repeating: 0, count: Int(needs.upperBound - needs.lowerBound))
            let count = unsafe pread(file, &bytes, bytes.count, off_t(needs.lowerBound))
            guard count == bytes.count else { break }
            if let entry = try scanner.feed(bytes) { entries.append(entry) }
        }
        return entries
    }
}

/// The digest of the bytes that a command prints, and how many of them lie in 4 KiB blocks that are not all zeros.
struct Contents: Equatable {
    private static let blockBytes = 4096
    let sha384: [UInt8]
    let nonZeroBytes: UInt64

    init(of command: String) throws {
        let child = try Child(["bash", "-c", command])
        var hash = SHA384()
        var nonZero: UInt64 = 0
        var position = 0
        var isZero = true
        var filled = 0
        unsafe child.readOutput { bytes in
            unsafe hash.update(bytes.bytes)
            position = 0
            while position < bytes.count {
                let count = min(Self.blockBytes - filled, bytes.count - position)
                if isZero {
                    let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
                    isZero = unsafe piece.allSatisfy { $0 == 0 }
                }
                position += count
                filled += count
                if filled == Self.blockBytes {
                    if !isZero { nonZero += UInt64(filled) }
                    (isZero, filled) = (true, 0)
                }
            }
        }
        if !isZero { nonZero += UInt64(filled) }
        _ = try child.wait()
        sha384 = hash.finish()
        nonZeroBytes = nonZero
    }
}
