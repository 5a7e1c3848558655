import Glibc
import StreamDisk

/// Reads small parts of one partition, and never writes.
struct PartitionReader {
    /// No single read asks for more.
    static let bytesMax = 16 << 20

    let descriptor: Int32
    let offsetBytes: UInt64
    let sizeBytes: UInt64

    /// Exactly so many bytes from a place in the partition.
    func read(_ offset: UInt64, count: Int) throws(MapFailure) -> [UInt8] {
        guard count >= 0, count <= Self.bytesMax, offset <= sizeBytes, UInt64(count) <= sizeBytes - offset,
            let position = Int64(exactly: offsetBytes + offset)
        else { throw .damaged("a structure lies outside the partition, at byte \(offset)") }
        var done = 0
        var failure: SystemError?
        // SAFETY: the kernel writes at most what is left of the area, and returns how much; what is not read is left out.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { area, length in
            while done < count {
                let result = unsafe pread(
                    descriptor, area.baseAddress.map { unsafe $0 + done }, count - done, off_t(position) + off_t(done))
                if result < 0, errno == EINTR { continue }
                if result <= 0 {
                    failure = SystemError(result < 0 ? errno : EIO)
                    break
                }
                done += result
            }
            length = done
        }
        if let failure { throw .read(offset: offset + UInt64(done), failure) }
        return bytes
    }
}

/// Integers in a byte array. The caller has checked that the array is long enough.
extension [UInt8] {
    func little16(_ at: Int) -> UInt16 { UInt16(self[at]) | UInt16(self[at + 1]) << 8 }
    func little32(_ at: Int) -> UInt32 { UInt32(little16(at)) | UInt32(little16(at + 2)) << 16 }
    func little64(_ at: Int) -> UInt64 { UInt64(little32(at)) | UInt64(little32(at + 4)) << 32 }
    func big16(_ at: Int) -> UInt16 { little16(at).byteSwapped }
    func big32(_ at: Int) -> UInt32 { little32(at).byteSwapped }
    func big64(_ at: Int) -> UInt64 { little64(at).byteSwapped }
}

/// CRC-32C (RFC 3720 §B.4), reflected, without the inversions: ext4, XFS and btrfs seed and invert it each their way.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78 }
    }

    static func update(_ crc: UInt32, _ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = crc
        for byte in bytes { crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
        return crc
    }
}
