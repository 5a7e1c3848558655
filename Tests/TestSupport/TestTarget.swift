import Foundation
import Glibc
import Testing

/// What a run writes onto: a regular file, or a loop device of this block size, which needs root.
enum TestTarget: Sendable, CustomStringConvertible {
    case file
    case disk(blockBytes: Int)

    var description: String {
        switch self {
        case .file: "file"
        case .disk(let blockBytes): "disk of \(blockBytes)-byte blocks"
        }
    }

    /// Runs `body` with a target that is full of random bytes, and with the path of a file that holds the same.
    func with<Value>(sizeBytes: UInt64, _ body: (_ path: String, _ was: String) throws -> Value) throws -> Value {
        let was = try RandomFile.atLeast(sizeBytes: sizeBytes)
        switch self {
        case .file:
            return try withTemporaryFolder { folder in
                let path = folder.appending(path: "disk.raw").path
                try RandomFile.copy(was, to: path, sizeBytes: sizeBytes)
                return try body(path, was)
            }
        case .disk(let blockBytes):
            return try LoopDevice.with(sizeBytes: sizeBytes, sectorSize: blockBytes) { device in
                try RandomFile.copy(was, to: device.path, sizeBytes: sizeBytes)
                return try body(device.path, was)
            }
        }
    }

    /// Runs `body` with a target that carries another system: a partition table of sfdisk's, primary and backup, and data
    /// here and there.
    func withOldTable<Value>(sizeBytes: UInt64, _ body: (_ path: String) throws -> Value) throws -> Value {
        func fill(_ path: String) throws {
            let random = try RandomFile.atLeast(sizeBytes: 4 << 20)
            for offset in [0, 3 << 20, sizeBytes / 2, sizeBytes - 1 << 20] {
                try run(
                    "dd",
                    [
                        "if=\(random)", "of=\(path)", "bs=1M", "count=1", "oflag=seek_bytes", "seek=\(offset)", "conv=notrunc",
                        "status=none",
                    ])
            }
            // Not sgdisk, which syncs every disk of the host and sleeps.
            let script = "printf 'label: gpt\\nsize=4M\\n' | sfdisk --quiet --no-reread --no-tell-kernel --wipe always \"$1\""
            try run("bash", ["-c", script, "sfdisk", path])
            #expect(try tablesLeft(on: path) == ["primary GPT", "backup GPT", "MBR", "sfdisk reads one"])
        }
        switch self {
        case .file:
            return try withTemporaryFolder { folder in
                let path = folder.appending(path: "disk.raw").path
                try run("truncate", ["-s", "\(sizeBytes)", path])
                try fill(path)
                return try body(path)
            }
        case .disk(let blockBytes):
            return try LoopDevice.with(sizeBytes: sizeBytes, sectorSize: blockBytes) { device in
                try fill(device.path)
                return try body(device.path)
            }
        }
    }
}

/// One file of random bytes a process, as long as was ever needed.
enum RandomFile {
    private static let sizeBytesMax: UInt64 = 112 << 20
    private static let path: String = {
        atexit { try? FileManager.default.removeItem(atPath: RandomFile.path) }
        return FileManager.default.temporaryDirectory.appending(path: "stream-disk-random-\(UUID().uuidString)").path
    }()
    private static let made = Result {
        try run("bash", ["-c", "head -c \(sizeBytesMax) /dev/urandom >\"$1\"", "random", path])
    }

    static func atLeast(sizeBytes: UInt64) throws -> String {
        precondition(sizeBytes <= sizeBytesMax)
        _ = try made.get()
        return path
    }

    /// Writes the first bytes of it over the beginning of `path`, a file or a block device.
    static func copy(_ random: String, to path: String, sizeBytes: UInt64) throws {
        try run(
            "dd",
            [
                "if=\(random)", "of=\(path)", "iflag=count_bytes", "count=\(sizeBytes)", "bs=4M", "conv=notrunc",
                "status=none",
            ])
    }
}

/// What of a partition table is on a disk or in a file, for blocks of 512 and 4096 bytes; empty when there is none.
func tablesLeft(on path: String) throws -> [String] {
    let file = try FileHandle(forReadingFrom: URL(filePath: path))
    defer { try? file.close() }
    let size = try file.seekToEnd()
    func bytes(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
        try file.seek(toOffset: offset)
        return Array(try file.read(upToCount: count) ?? Data())
    }
    let signature = Array("EFI PART".utf8)
    var found: [String] = []
    if try bytes(512, 8) == signature || bytes(4096, 8) == signature { found.append("primary GPT") }
    if try bytes(size - 512, 8) == signature || bytes(size - 4096, 8) == signature { found.append("backup GPT") }
    if try bytes(510, 2) == [0x55, 0xaa] { found.append("MBR") }
    if (try? run("sfdisk", ["--dump", path])) != nil { found.append("sfdisk reads one") }
    return found
}

func sha256(of path: String) throws -> String { String(try run("sha256sum", [path]).prefix(64)) }

extension SampleImage {
    /// Compares a target with the raw disk, byte for byte, by cmp; and by check-disk with what it held before.
    ///
    /// - Parameter was: the bytes of the target before the run.
    func expectStreamed(
        to path: String, was: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for problem in try differences(of: path, was: was) {
            Issue.record("\(problem)", sourceLocation: sourceLocation)
        }
    }

    private func differences(of path: String, was: String) throws -> [String] {
        var problems: [String] = []
        let check = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Images/check-disk").path
        do {
            try run("bash", ["-c", "\"$@\" >&2", "check", check, "--was", was, manifestPath, path])
        } catch {
            problems.append("\(error)")
        }
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        let size = try file.seekToEnd()
        try file.close()
        for piece in pieces(diskBytes: size) {
            do {
                try run(
                    "bash",
                    [
                        "-c", "cmp \"$@\" >&2", "cmp", "--bytes=\(piece.range.count)",
                        "--ignore-initial=\(piece.range.lowerBound):\(piece.rawOffset)", path, rawPath,
                    ])
            } catch {
                problems.append("\(piece.name), bytes \(piece.range): \(error)")
            }
        }
        return problems
    }

    private struct Piece {
        let name: String
        let range: Range<UInt64>
        let rawOffset: UInt64
    }

    /// Every byte that comes from the image, except two header blocks where the disk is larger than the image's: those have
    /// other addresses and CRCs, which check-disk works out.
    private func pieces(diskBytes wholeSize: UInt64) -> [Piece] {
        let lba = manifest.lba
        func blocks(_ bytes: UInt64) -> UInt64 { (bytes + lba - 1) / lba * lba }
        let size = wholeSize - wholeSize % lba
        let isEqual = size == manifest.diskSize
        let tableEnd = blocks(manifest.gpt.uncompressedSize)
        let backupStart = size - lba - (tableEnd - 2 * lba)
        var pieces = [
            Piece(name: "LBA 0", range: 0..<lba, rawOffset: 0),
            Piece(name: "entries", range: 2 * lba..<tableEnd, rawOffset: 2 * lba),
            Piece(name: "backup entries", range: backupStart..<size - lba, rawOffset: 2 * lba),
        ]
        if isEqual {
            pieces.append(Piece(name: "header", range: lba..<2 * lba, rawOffset: lba))
            pieces.append(Piece(name: "backup header", range: size - lba..<size, rawOffset: size - lba))
        }
        for region in manifest.regions {
            let end = region.offset + blocks(region.uncompressedSize)
            pieces.append(Piece(name: region.name, range: region.offset..<end, rawOffset: region.offset))
        }
        return pieces.filter { !$0.range.isEmpty }
    }
}

/// Runs `body` with a loop device whose backing file system is full after so many MiB, so that its writes fail. Needs root.
func withFailingDisk<Value>(
    sizeBytes: UInt64, failsAfterMiB: Int, _ body: (_ path: String) throws -> Value
) throws -> Value {
    try withTemporaryFolder { folder in
        try run("mount", ["-t", "tmpfs", "-o", "size=\(failsAfterMiB)M", "stream-disk-test", folder.path])
        defer {
            // The device lets go of its file a moment after it was detached.
            var tries = 0
            while tries < 100, (try? run("umount", [folder.path])) == nil {
                tries += 1
                usleep(50_000)
            }
        }
        let backing = folder.appending(path: "disk").path
        try run("truncate", ["-s", "\(sizeBytes)", backing])
        let path = try run("losetup", ["--find", "--show", backing]).trimmingCharacters(in: .whitespacesAndNewlines)
        defer { _ = try? run("losetup", ["--detach", path]) }
        return try body(path)
    }
}
