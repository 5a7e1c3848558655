import CosiFormat
import Foundation
import Testing

/// Disks partitioned by sgdisk, as sparse files.
struct SgdiskDisk {
    static let sizeBytes: UInt64 = 64 << 20
    /// What sgdisk is told: an ESP, a root out of number order, and a named one with an attribute bit.
    static let arguments = [
        "--disk-guid=11111111-2222-3333-4444-555555555555",
        "-n", "1:2048:10239", "-t", "1:ef00", "-c", "1:EFI", "-u", "1:AAAAAAAA-0000-0000-0000-000000000001",
        "-n", "3:20480:40959", "-t", "3:8304", "-c", "3:root", "-u", "3:AAAAAAAA-0000-0000-0000-000000000003",
        "-n", "2:10240:20479", "-t", "2:8300", "-c", "2:dätä 💾", "-u", "2:AAAAAAAA-0000-0000-0000-000000000002",
        "-A", "2:set:60",
    ]

    static func make(_ file: URL, sizeBytes: UInt64 = sizeBytes, extra: [String] = []) throws {
        try makeSparseFile(file, sizeBytes: sizeBytes)
        try run("sgdisk", extra + arguments + [file.path])
    }

    /// The primary region of such a disk: blocks 0 to 33. Made once, as sgdisk sleeps a second after each write.
    static func primary() throws -> [UInt8] { try made.get() }

    private static let made = Result<[UInt8], any Error> {
        try withTemporaryDirectory { directory in
            let file = directory.appendingPathComponent("disk")
            try make(file)
            return try file.bytes(at: 0, count: 34 * 512)
        }
    }
}

/// A primary region made by Python's struct and zlib, for shapes that sgdisk does not make on a file.
struct PythonGPT {
    var blockBytes = 512
    var diskBlocks: UInt64 = 131072
    var entryCount = 128
    var entrySize = 128
    var arrayLBA: UInt64 = 2
    var headerSize = 92
    var firstUsable: UInt64?
    var lastUsable: UInt64?
    var alternate: UInt64?
    /// (number, first, last)
    var partitions: [(Int, UInt64, UInt64)] = [(1, 2048, 4095)]
    /// Bytes behind the entry array.
    var extra = 0

    var arrayBlocks: UInt64 { UInt64((entryCount * entrySize + blockBytes - 1) / blockBytes) }
    var diskSizeBytes: UInt64 { diskBlocks * UInt64(blockBytes) }

    func bytes() throws -> [UInt8] {
        try withTemporaryDirectory { directory in
            let list = partitions.map { "(\($0.0), \($0.1), \($0.2))" }.joined(separator: ", ")
            try python(
                """
                import struct, zlib, uuid
                lba, count, size, at = \(blockBytes), \(entryCount), \(entrySize), \(arrayLBA)
                mbr = bytearray(lba)
                mbr[446:462] = struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0xEE, 255, 255, 255, 1, \(diskBlocks) - 1)
                mbr[510:512] = b"\\x55\\xaa"
                array = bytearray(count * size)
                for number, first, last in [\(list)]:
                    e = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4").bytes_le + uuid.UUID(int=number).bytes_le
                    e += struct.pack("<QQQ", first, last, 0) + ("part%d" % number).encode("utf-16-le").ljust(72, b"\\0")
                    array[(number - 1) * size:(number - 1) * size + 128] = e
                def header(crc):
                    return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, \(headerSize), crc, 0, 1,
                        \(alternate ?? (diskBlocks - 1)), \(firstUsable ?? (arrayLBA + arrayBlocks)),
                        \(lastUsable ?? (diskBlocks &- 2 &- arrayBlocks)), uuid.UUID(int=42).bytes_le,
                        at, count, size, zlib.crc32(array)) + bytes(\(headerSize) - 92)
                h = header(zlib.crc32(header(0)))
                region = bytes(mbr) + h.ljust((at - 1) * lba, b"\\0") + array + b"\\x5a" * \(extra)
                open("gpt", "wb").write(region)
                """, in: directory)
            return try directory.appendingPathComponent("gpt").bytes()
        }
    }

    func parse() throws -> (GPT, [FormatWarning]) {
        try GPT.parse(primary: bytes(), blockBytes: blockBytes, diskSizeBytes: diskSizeBytes)
    }
}

/// Recomputes both CRCs of a primary region after a test has changed it.
func reseal(_ region: inout [UInt8], blockBytes: Int = 512) {
    let size = Int(region[blockBytes + 12]) | Int(region[blockBytes + 13]) << 8
    let array = 2 * blockBytes..<min(2 * blockBytes + 128 * 128, region.count)
    region.put(slowCRC32(region[array]), at: blockBytes + 88)
    region.put(UInt32(0), at: blockBytes + 16)
    region.put(slowCRC32(region[blockBytes..<blockBytes + min(max(size, 92), blockBytes)]), at: blockBytes + 16)
}
