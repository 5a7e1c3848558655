import CosiPack
import Foundation
import Glibc
import Testing

@testable import TestSupport

/// A file with one file system, made and used by the standard tools: filled, partly deleted, filled again. Needs root where it is mounted.
final class SampleFilesystem {
    let path: String
    let sizeBytes: UInt64
    private let folder: URL

    /// - Parameters:
    ///   - make: the program that makes it, and its arguments; the file's name comes last.
    ///   - tailBytes: bytes of the partition behind the file system.
    init(sizeMiB: UInt64, _ make: [String]) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "stream-disk-filesystem-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.appending(path: "image").path
        sizeBytes = sizeMiB << 20
        do {
            try run("truncate", ["--size", "\(sizeBytes)", path])
            try run(make[0], make.dropFirst() + [path])
        } catch {
            try? FileManager.default.removeItem(at: folder)
            throw error
        }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func other(_ name: String) -> String { folder.appending(path: name).path }

    /// Files small, large and sparse, links, a deep tree; a good part of it deleted, then more files into the gaps.
    func use(options: String = "", hasLinks: Bool = true, rounds: Int = 2) throws {
        let links = hasLinks ? "ln -s ../f1 d$r/link; ln d$r/f1 d$r/hard; truncate -s 9M d$r/sparse; " : ""
        try mounted("loop\(options)") { mount in
            try Self.shell(
                """
                cd '\(mount)'
                for r in $(seq \(rounds)); do
                    mkdir -p d$r/a/b/c
                    for i in $(seq 150); do head -c $((i * 397)) /dev/urandom > d$r/f$i; done
                    for i in 1 2 3 4; do head -c 3000000 /dev/urandom > d$r/a/b/large$i; done
                    \(links)
                    sync -f .
                    for i in $(seq 1 3 150); do rm d$r/f$i; done
                    rm d$r/a/b/large2 d$r/a/b/large3
                    head -c 700000 /dev/urandom > d$r/a/b/c/last
                done
                """)
        }
    }

    func mounted(_ options: String, file: String? = nil, _ body: (String) throws -> Void) throws {
        let mount = folder.appending(path: "mount-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: false)
        try run("mount", ["-o", options, file ?? path, mount])
        defer {
            _ = try? run("umount", [mount])
            unsafe rmdir(mount)
        }
        try body(mount)
    }

    static func shell(_ text: String) throws { try run("sh", ["-ec", text]) }

    func examine(_ options: ExamineOptions = ExamineOptions()) throws -> Examination {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        return CosiPack.examine(descriptor: descriptor, offsetBytes: 0, sizeBytes: sizeBytes, options: options)
    }

    /// A file with the data ranges only.
    ///
    /// - Parameter other: where they are read; nil: this file.
    func restored(_ data: [Range<UInt64>], of other: Int32? = nil, sizeBytes: UInt64? = nil) throws -> String {
        let copy = self.other("restored-\(UUID().uuidString)")
        let from = unsafe other.map { dup($0) } ?? open(path, O_RDONLY | O_CLOEXEC)
        let to = unsafe open(copy, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer {
            close(from)
            close(to)
        }
        ftruncate(to, off_t(sizeBytes ?? self.sizeBytes))
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        for range in data {
            var position = range.lowerBound
            while position < range.upperBound {
                let count = Int(min(UInt64(buffer.count), range.upperBound - position))
                let read = unsafe pread(from, &buffer, count, off_t(position))
                guard read > 0, unsafe pwrite(to, buffer, read, off_t(position)) == read else { throw POSIXError(.EIO) }
                position += UInt64(read)
            }
        }
        return copy
    }

    /// That both have the same tree: names, contents, modes, owners, times, links.
    func expectSameFiles(_ copy: String, options: String) throws {
        try mounted("loop,ro\(options)") { one in
            try mounted("loop,ro\(options)", file: copy) { two in
                try run("diff", ["-r", "--no-dereference", one, two])
                try Self.shell(
                    """
                    list() { (cd "$1" && find . -printf '%p %y %m %U %G %s %T@ %l %n\\n' | sort); }
                    list '\(one)' > '\(other("one"))'; list '\(two)' > '\(other("two"))'
                    cmp '\(other("one"))' '\(other("two"))'
                    test $(wc -l < '\(other("one"))') -gt 100
                    """)
            }
        }
    }
}

/// Bytes in ranges, which must be sorted, apart and within the partition.
func byteCount(_ data: [Range<UInt64>], of sizeBytes: UInt64) -> UInt64 {
    for (one, two) in zip(data, data.dropFirst()) { #expect(one.upperBound < two.lowerBound) }
    for range in data { #expect(!range.isEmpty && range.upperBound <= sizeBytes) }
    return data.reduce(0) { $0 + UInt64($1.count) }
}

/// The bytes of `wanted` that `data` leaves out.
func missing(_ wanted: [Range<UInt64>], in data: [Range<UInt64>]) -> UInt64 {
    var count: UInt64 = 0
    for range in wanted {
        var position = range.lowerBound
        for part in data where part.upperBound > position && part.lowerBound < range.upperBound {
            if part.lowerBound > position { count += part.lowerBound - position }
            position = max(position, part.upperBound)
        }
        if position < range.upperBound { count += range.upperBound - position }
    }
    return count
}

extension SampleFilesystem {
    /// Whether this host's kernel knows the file system.
    func canMount() throws -> Bool { (try? mounted("loop") { _ in }) != nil }
}

extension SampleFilesystem {
    /// How many files there are under a folder.
    static func list(_ folder: String) throws -> Int { try run("find", [folder, "-type", "f"]).split(separator: "\n").count }
}
