import Foundation
import Glibc
import Testing

@testable import TestSupport

/// Images with one thing wrong in each and everything else right (Tests/Images/break-image), through the command line: the exit
/// code, one line that says what and where, and what the disk holds then; within bounds of time and memory.
@Suite(.timeLimit(.minutes(10))) struct HostileImageTests {
    struct Fault: Sendable, CustomTestStringConvertible {
        /// break-image's name of it.
        let name: String
        /// A part of what must be said.
        let says: String

        init(_ name: String, _ says: String) { (self.name, self.says) = (name, says) }
        var testDescription: String { name }
    }

    @Test func everyFaultIsHere() throws {
        let all = try run(SampleImage.breakImage, ["--list"]).split(separator: "\n").map(String.init)
        #expect(Set(all) == Set((Self.beforeTheFirstByte + Self.inTheData).map(\.name)))
        #expect(all.count >= 70)
    }

    @Test func withNothingWrongItIsWritten() throws {
        let ended = try stream("none") { _, isUntouched in #expect(!isUntouched) }
        #expect(ended.code == 0, "\(ended.errors)")
        #expect(ended.errors == "")
    }

    /// What can be known before the disk is touched is refused before it is.
    @Test(arguments: beforeTheFirstByte) func isRefusedBeforeTheFirstByte(fault: Fault) throws {
        let ended = try stream(fault.name) { _, isUntouched in #expect(isUntouched) }
        expectFailure(ended, 65, says: ["invalid image: ", fault.says, "Nothing was written"])
        let inspected = try Program.run(["inspect", Corpus.path(fault.name)])
        // Of a disk it shows what 'pack' would take; none of these is whole.
        let isDisk = fault.says.contains("disk image; convert") || ["file-raw-disk", "file-iso-hybrid"].contains(fault.name)
        expectFailure(
            inspected, 65, says: isDisk ? [Corpus.path(fault.name)] : ["invalid image: ", fault.says], isQuiet: !isDisk)
    }

    /// What only the data show leaves a disk from which nothing boots.
    @Test(arguments: inTheData) func leavesNoTable(fault: Fault) throws {
        let ended = try stream(fault.name) { disk, _ in
            let tables = try tablesLeft(on: disk)
            #expect(tables == [])
        }
        expectFailure(ended, 65, says: ["invalid image: ", fault.says, "no partition table"])
    }

    /// Onto a file that carries a partition table; also holds the bounds.
    private func stream(_ name: String, _ look: (_ disk: String, _ isUntouched: Bool) throws -> Void) throws -> Ended {
        try withTemporaryFolder { folder in
            let (disk, peak) = (folder.path + "/disk.raw", folder.path + "/peak")
            let was = try Corpus.old.get()
            try run("cp", ["--sparse=always", was, disk])
            let ended = try Program.run(
                ["stream", Corpus.path(name), "--disk", disk, "--yes", "-q"],
                through: ["python3", "-ISc", Self.measure, peak])
            let peakKiB = try #require(Int(try String(contentsOfFile: peak, encoding: .utf8)))
            #expect(peakKiB < 300 << 10)
            // Ten seconds on a machine that does nothing else; tests run side by side.
            #expect(ended.seconds < 20)
            try look(disk, (try? run("cmp", ["--silent", was, disk])) != nil)
            return ended
        }
    }

    /// Runs a program and writes down the most memory that it held, in KiB.
    private static let measure = """
        import os, resource, sys
        code = os.spawnv(os.P_WAIT, sys.argv[2], sys.argv[2:])
        with open(sys.argv[1], "w") as peak: peak.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
        sys.exit(code)
        """

    /// Made once a process.
    private enum Corpus {
        private static let folder = FileManager.default.temporaryDirectory.appending(path: "hostile-\(UUID().uuidString)").path
        private static let made = Result {
            atexit { try? FileManager.default.removeItem(atPath: Corpus.folder) }
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let image = try SampleImage.make(SampleImage.small + " --level 3 --content-mib 2")
            try run(SampleImage.breakImage, [image.path, folder])
        }
        /// A disk that carries another system's table.
        static let old = Result {
            _ = try made.get()
            let path = folder + "/old.raw"
            try run("truncate", ["-s", "32M", path])
            try run("bash", ["-c", "printf 'label: gpt\\nsize=4M\\n' | sfdisk --quiet --no-reread \"$1\"", "sfdisk", path])
            return path
        }

        static func path(_ name: String) -> String { folder + "/" + name + ".cosi" }
    }
}

extension HostileImageTests {
    static let beforeTheFirstByte =
        [
            Fault("version-1.1", "version: is 1.1; streaming needs major version 1, minor version 2 or"),
            Fault("version-2.0", "version: is 2.0; streaming needs major version 1, minor version 2 or"),
            Fault("version-word", "version: is 'latest', must be 'MAJOR.MINOR'"),
            Fault("version-huge", "version: is '1.9999"),
            Fault("version-missing", "version: is missing"),
            Fault("version-number", "version: is not a string"),
            Fault("arch-unknown", "osArch: is 'riscv64', must be 'x86_64' or 'arm64'"),
            Fault("arch-missing", "osArch: is missing"),
            Fault("os-release-number", "osRelease: is not a string"),
            Fault("id-no-uuid", "id: is '12345', must be a UUID"),
            Fault("images-missing", "images: is missing"),
            Fault("images-object", "images: is not an array"),
            Fault("bootloader-missing", "bootloader: is missing"),
            Fault("disk-missing", "disk: is missing"),
            Fault("disk-null", "disk: is null"),
            Fault("compression-missing", "compression: is missing"),
            Fault("disk-type-mbr", "disk.type: is 'mbr', must be 'gpt'"),
            Fault("disk-size-zero", "disk.size: is 0, must be 1 to 2^63 - 1"),
            Fault("disk-size-odd", "disk.size: is 33554439, not a multiple of disk.lbaSize 512"),
            Fault("disk-size-negative", "disk.size: is not a whole number from 0 to 2^64 - 1"),
            Fault("disk-size-2^63", "disk.size: is 9223372036854775808, must be 1 to 2^63 - 1"),
            Fault("disk-size-2^64", "disk.size: is not a whole number from 0 to 2^64 - 1"),
            Fault("disk-size-fraction", "disk.size: is not a whole number from 0 to 2^64 - 1"),
            Fault("disk-size-text", "disk.size: is not a number"),
            Fault("disk-size-smaller-than-table", "GPT header: has the last usable block 65502; on a disk of 32768 blocks"),
            Fault("block-1024", "disk.lbaSize: is 1024, must be 512 or 4096"),
            Fault("block-0", "disk.lbaSize: is 0, must be 512 or 4096"),
            Fault("block-other", "GPT header: has no signature"),
            Fault("regions-empty", "disk.gptRegions: does not begin with a region of type 'primary-gpt'"),
            Fault("region-number-missing", "disk.gptRegions[1].number: is missing"),
            Fault("region-number-0", "disk.gptRegions[1].number: is 0, must be 1 to 1024"),
            Fault("region-number-2^31", "disk.gptRegions[1].number: is 2147483648, must be 1 to 1024"),
            Fault("region-number-without-entry", "region 'images/sample_1.raw.zst': is for partition 77, which the GPT"),
            Fault("second-table", "disk.gptRegions[1].type: is a second 'primary-gpt'"),
            Fault("part-type-no-uuid", "images[0].partType: is 'linux', must be a UUID"),
            Fault("window-9", "compression.maxWindowLog: is 9, must be 10 to 31"),
            Fault("window-32", "compression.maxWindowLog: is 32, must be 10 to 31"),
            Fault("window-2^64-1", "compression.maxWindowLog: is 18446744073709551615, must be 10 to 31"),
            Fault("packages-no-list", "osPackages: is not an array"),
            Fault("region-size-disagrees", "images[0].image.uncompressedSize: is 512, but"),
            Fault("region-hash-disagrees", "images[0].image.sha384: differs from the one in disk.gptRegions"),
            Fault("file-system-without-region", "images[0].image.path: is 'images/other.zst', which no region in"),
            Fault("file-system-over-table", "images[0].image.path: is the primary GPT's image"),
            Fault("path-climbs", "disk.gptRegions[1].image.path: is 'images/../images/sample_1.raw.zst'"),
            Fault("path-absolute", "disk.gptRegions[1].image.path: is '/images/sample_1.raw.zst', must be"),
            Fault("path-elsewhere", "disk.gptRegions[1].image.path: is 'sample_1.raw.zst', must be under"),
            Fault("path-nul", "holds a character that cannot be shown"),
            Fault("path-empty-part", "disk.gptRegions[1].image.path: is 'images//sample_1.raw.zst', must not"),
            Fault("path-escape", "holds a character that cannot be shown: 'images/\\u{1b}[2Jx'"),
            Fault("path-csi", "holds a character that cannot be shown: 'images/\\u{9b}2Jx'"),
            Fault("path-other-case", "tar entry 'images/SAMPLE_1.raw.zst': is missing; metadata.json names"),
            Fault("path-of-10000", "disk.gptRegions[1].image.path: is 10007 bytes, more than 4096"),
            Fault("path-missing-file", "tar entry 'images/none.zst': is missing; metadata.json names it"),
            Fault("hash-short", "disk.gptRegions[1].image.sha384: is 95 hex digits, must be 96"),
            Fault("hash-no-hex", "holds something that is not a hex digit"),
            Fault("compressed-0", "disk.gptRegions[1].image.compressedSize: is 0, must be 1 to 2^63 - 1"),
            Fault("compressed-2^63", "disk.gptRegions[1].image.compressedSize: is 9223372036854775808, must"),
            Fault("uncompressed-2^64-1", "disk.gptRegions[1].image.uncompressedSize: is 18446744073709551615"),
            Fault("uncompressed-negative", "images[0].image.uncompressedSize: is not a whole number from 0 to 2^64"),
            Fault("uncompressed-over-disk", "disk.gptRegions[1].image.uncompressedSize: is 1099511627776, more than"),
            Fault("uncompressed-1e300", "images[0].image.uncompressedSize: is not a whole number from 0 to 2^64"),
            Fault("compressed-one-more", "but metadata.json gives compressedSize"),
            Fault("uncompressed-over-partition", "bytes of partition 1"),
            Fault("sizes-overflow", "disk.gptRegions[1].image.compressedSize: makes the sum of all sizes"),
            Fault("table-not-first", "disk.gptRegions: does not begin with a region of type 'primary-gpt'"),
            Fault("region-number-twice", "disk.gptRegions[2].number: is 1, as disk.gptRegions[1].number is"),
            Fault("region-path-twice", "disk.gptRegions[3].image.path: is 'images/sample_1.raw.zst', as"),
            Fault("mount-point-twice", "images[1].mountPoint: is '/', which images[0] has already"),
            Fault("mount-point-twice-spelled", "images[1].mountPoint: is '/boot//efi/', which images[0] has already"),
            Fault("file-system-twice", "images[2].image.path: is another filesystem's image too"),
            Fault("verity-without-region", "images[0].verity.image.path: is 'images/hash.zst', which no region in"),
            Fault("verity-over-file-system", "images[0].verity.image.path: is another filesystem's image, must be"),
            Fault("verity-hash-at-the-end", "verity.hashOffset: is "),
            Fault("verity-hash-over-2^63", "verity.hashOffset: is 18446744073709551104, outside the"),
            Fault("verity-hash-negative", "verity.hashOffset: is not a whole number from 0 to 2^64 - 1"),
            Fault("verity-hash-odd", "verity.hashOffset: is 4097, must be a multiple of 512"),
            Fault("verity-hash-at-0", "verity.hashOffset: is 0, where the filesystem itself begins"),
            Fault("verity-own-hash-disagrees", "verity.image.sha384: differs from the one in disk.gptRegions"),
            Fault("verity-own-size-disagrees", "verity.image.uncompressedSize: is 8192, but"),
            Fault("table-too-large", "disk.gptRegions[0].image.uncompressedSize: is 67108864, more than"),
            Fault("table-hash-wrong", "sample_gpt.raw.zst': its SHA-384 is"),
            Fault("table-longer-than-stated", "corrupt zstd data: it decodes to more than the 17407 bytes stated"),
            Fault("table-shorter-than-stated", "it decodes to 17408 bytes, its metadata says 17409"),
            Fault("key-twice", "metadata.json: version: is there twice"),
            Fault("key-twice-in-region", "metadata.json: disk.gptRegions[1].number: is there twice"),
            Fault("key-twice-escaped", "metadata.json: disk.gptRegions[1].number: is there twice"),
            Fault("key-twice-in-image", "metadata.json: images[0].image.path: is there twice"),
            Fault("key-twice-in-what-is-ignored", "metadata.json: x[0].y[1].😀: is there twice"),
            Fault("key-twice-among-400000", "metadata.json: x.key7: is there twice"),
            Fault("json-empty", "is not valid JSON"),
            Fault("json-no-json", "is not valid JSON"),
            Fault("json-cut", "is not valid JSON"),
            Fault("json-trailing", "is not valid JSON"),
            Fault("json-latin1", "is not UTF-8 text"),
            Fault("json-utf16", "is not UTF-8 text"),
            Fault("json-nul", "is not UTF-8 text"),
            Fault("json-deep-arrays", "nests deeper than 64 levels"),
            Fault("json-deep-objects", "nests deeper than 64 levels"),
            Fault("json-million-images", "holds more than 500000 values"),
            Fault("json-million-regions", "holds more than 500000 values"),
            Fault("json-3000-regions", "has 3003 regions, more than 2048"),
            Fault("json-long-number", "disk.lbaSize: is not a whole number from 0 to 2^64 - 1"),
            Fault("json-over-16-mib", "more than 16777216"),
            Fault("metadata-missing", "tar archive: has no entry 'metadata.json': this is not a COSI file"),
            Fault("metadata-twice", "tar entry 'metadata.json': is there twice"),
            Fault("table-missing", "tar entry 'images/sample_gpt.raw.zst': is missing; metadata.json names"),
            Fault("table-twice", "tar entry 'images/sample_gpt.raw.zst': is there twice"),
            Fault("image-missing", "tar entry 'images/sample_1.raw.zst': is missing; metadata.json names"),
            Fault("image-twice", "tar entry 'images/sample_1.raw.zst': is there twice"),
            Fault("image-symbolic-link", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("image-hard-link", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("image-character-device", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("image-block-device", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("image-directory", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("image-pipe", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("image-sparse", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("metadata-symbolic-link", "tar entry 'metadata.json': is not a regular file"),
            Fault("metadata-of-17-mib", "tar entry 'metadata.json': is 17825792 bytes, more than 16777216"),
            Fault("image-other-case", "tar entry 'images/sample_1.raw.zst': is missing; metadata.json names"),
            Fault("image-outside", "tar entry 'images/sample_1.raw.zst': is missing; metadata.json names"),
            Fault("image-absolute", "tar entry 'images/sample_1.raw.zst': is missing; metadata.json names"),
            Fault("entries-5000", "tar archive: has more than 4096 entries"),
            Fault("size-no-octal", "holds a number that is not octal"),
            Fault("size-negative-text", "holds a number that is not octal"),
            Fault("size-base256-negative", "states a number that is negative or over 2^63"),
            Fault("size-base256-2^63", "states a number that is negative or over 2^63"),
            Fault("size-base256-2^64-1", "states a number that is negative or over 2^63"),
            Fault("size-base256-2^63-1", "states a size that reaches beyond 2^63 - 1"),
            Fault("size-8-gib", "is truncated"),
            Fault("size-0", "has a wrong checksum"),
            Fault("pax-size-negative", "has a PAX size that is not a number"),
            Fault("pax-size-2^64", "has a PAX size that is not a number"),
            Fault("pax-size-other", "has a wrong checksum"),
            Fault("pax-length-lies", "has a PAX record without a valid"),
            Fault("pax-length-0", "has a PAX record without a valid"),
            Fault("pax-length-huge", "has a PAX record without a valid"),
            Fault("pax-no-newline", "has a PAX record that is not"),
            Fault("pax-path-nul", "has a PAX path with a NUL in it"),
            Fault("pax-of-100-kib", "has an extended header of 100000 bytes, more"),
            Fault("pax-sparse", "tar entry 'images/sample_1.raw.zst': is not a regular file"),
            Fault("long-name-of-10000", "has a name of 10000 bytes, more than 4096"),
            Fault("pax-17-in-a-row", "is one of more than 16 extended headers in a row"),
            Fault("pax-at-the-end", "ends the archive where an extended header's entry must follow"),
            Fault("tar-checksum", "tar header at byte 512: has a wrong checksum: this is not a tar"),
            Fault("file-empty", "file-empty.cosi: not a COSI image: it is empty; check how it was made"),
            Fault("file-random", "file-random.cosi: tar header at byte 0: has a wrong checksum: this is not a tar archive"),
            Fault("file-gzip", "file-gzip.cosi: not a COSI image: it is compressed with gzip; decompress it first"),
            Fault("file-zstd", "file-zstd.cosi: not a COSI image: it is compressed with zstd; decompress it first"),
            Fault("file-zstd-skippable", "not a COSI image: it is compressed with zstd; decompress it first"),
            Fault("file-xz", "not a COSI image: it is compressed with xz; decompress it first"),
            Fault("file-bzip2", "not a COSI image: it is compressed with bzip2; decompress it first"),
            Fault("file-zip", "not a COSI image: it is a zip archive; unpack it first"),
            Fault("file-qcow2", "file-qcow2.cosi: not a COSI image: it is a qcow2 disk image; convert it to COSI first"),
            Fault("file-vhd", "not a COSI image: it is a VHD disk image; convert it to COSI first"),
            Fault("file-vhd-fixed", "not a COSI image: it is a VHD disk image; convert it to COSI first"),
            Fault("file-vhdx", "not a COSI image: it is a VHDX disk image; convert it to COSI first"),
            Fault("file-vmdk", "not a COSI image: it is a VMDK disk image; convert it to COSI first"),
            Fault("file-iso", "not a COSI image: it is an ISO 9660 image; give a COSI image"),
            Fault("file-iso-hybrid", "not a COSI image: it is an ISO 9660 image; give a COSI image"),
            Fault("file-raw-disk", "not a COSI image: it is a raw image of a GPT disk; convert it to COSI first"),
            Fault("file-raw-ext4", "not a COSI image: it is a raw image of an ext file system; convert it"),
            Fault("file-html", "not a COSI image: it is a web page (HTML); check the URL"),
            Fault("file-xml", "not a COSI image: it is an XML document, such as servers send for an error; check the URL"),
            Fault("file-json", "not a COSI image: it is JSON text; give the image itself"),
            Fault("file-lfs", "not a COSI image: it is a pointer of Git LFS, not the file itself; fetch it"),
            Fault("file-tar", "file-tar.cosi: tar archive: has no entry 'metadata.json': this is not a COSI file"),
            Fault("file-zeros", "tar archive: has no entry 'metadata.json': this is not a COSI file"),
            Fault("cut-in-marker", "is truncated: it ends at byte 300"),
            Fault("cut-after-marker", "tar archive: has no entry 'metadata.json': this is not a COSI file"),
            Fault("cut-in-metadata-header", "is truncated: it ends at byte 612"),
            Fault("cut-in-metadata", "is truncated: bytes 1024 to"),
            Fault("cut-in-table-header", "is truncated"),
            Fault("cut-in-table", "is truncated"),
            Fault("cut-before-image", "tar entry 'images/sample_1.raw.zst': is missing; metadata.json names"),
            Fault("cut-in-image-header", "is truncated"),
            Fault("cut-in-image", "is truncated"),
            Fault("cut-one-byte", "is truncated"),
            Fault("header-revision", "GPT header: has revision 0x20000, must be 0x10000 (1.0)"),
            Fault("header-size-0", "GPT header: says it is 0 bytes, must be 92 to 512"),
            Fault("header-size-2^32-1", "GPT header: says it is 4294967295 bytes, must be 92 to 512"),
            Fault("header-at-2", "GPT header: says it is at block 2, must be 1"),
            Fault("first-usable-0", "GPT header: has the first usable block 0 inside the entry array, which"),
            Fault("first-usable-2^64-1", "GPT header: has the first usable block 18446744073709551615 behind the"),
            Fault("last-usable-0", "GPT header: has the first usable block 34 behind the last one 0"),
            Fault("last-usable-2^64-1", "GPT header: has the last usable block 18446744073709551615; on a disk"),
            Fault("last-usable-over-backup", "GPT header: has the last usable block 65534; on a disk of 65536 blocks"),
            Fault("entries-at-0", "GPT header: puts the entry array at block 0, must be 2 or higher"),
            Fault("entries-at-1", "GPT header: puts the entry array at block 1, must be 2 or higher"),
            Fault("entries-at-2^63", "primary-GPT image: is 17408 bytes and ends before the entry array of"),
            Fault("entries-at-2^64-1", "primary-GPT image: is 17408 bytes and ends before the entry array of"),
            Fault("entry-count-0", "GPT header: has 0 entries, must be 1 to 1024"),
            Fault("entry-count-2^31", "GPT header: has 2147483648 entries, must be 1 to 1024"),
            Fault("entry-count-2^32-1", "GPT header: has 4294967295 entries, must be 1 to 1024"),
            Fault("entry-count-129", "primary-GPT image: is 17408 bytes and ends before the entry array of"),
            Fault("entry-size-0", "GPT header: has entries of 0 bytes, must be 128 times a power of two"),
            Fault("entry-size-64", "GPT header: has entries of 64 bytes, must be 128 times a power of two"),
            Fault("entry-size-130", "GPT header: has entries of 130 bytes, must be 128 times a power of two"),
            Fault("entry-size-2^31", "GPT header: has entries of 2147483648 bytes, must be 128 times a power"),
            Fault("partition-first-0", "covers blocks 0 to"),
            Fault("partition-first-1", "covers blocks 1 to"),
            Fault("partition-first-2^64-1", "before its first block 18446744073709551615"),
            Fault("partition-last-2^64-1", "to 18446744073709551615, outside the usable blocks"),
            Fault("partition-last-before-first", "GPT entry 1: ends at block 40, before its first block"),
            Fault("partition-last-over-backup", "to 65534, outside the usable blocks 34 to 65502"),
            Fault("partitions-overlap", "GPT entry 3: begins at block 2048, inside entry 1"),
            Fault("partition-too-small", "bytes of partition 1"),
            Fault("partition-missing", "region 'images/sample_1.raw.zst': is for partition 1, which the GPT"),
            Fault("numbers-count-over-gaps", "disk.gptRegions: has numbers that count partitions by place, not by GPT entry"),
            Fault("numbers-count-along-the-disk", "has numbers that count partitions by place, not by GPT entry"),
            Fault("numbers-count-and-all-fit", "has numbers that count partitions by place, not by GPT entry"),
            Fault("table-signature", "GPT header: has no signature 'EFI PART' at block 1"),
            Fault("mbr-signature", "protective MBR: has no signature 0x55 0xAA at byte 510"),
            Fault("mbr-unprotecting", "protective MBR: has no partition of type 0xEE"),
            Fault("header-crc", "GPT header: has a wrong CRC"),
            Fault("entries-crc", "GPT entry array: has a wrong CRC"),
            Fault("table-of-one-block", "primary-GPT image: is 600 bytes, must be at least two blocks of 512 and"),
            Fault("table-cut-in-entries", "primary-GPT image: is 3000 bytes and ends before the entry array of"),
            Fault("table-over-first-partition", "reaches behind the first usable block 34"),
            Fault("table-no-zstd", "corrupt zstd data: Unknown frame descriptor"),
            Fault("table-frame-cut", "its last zstd frame is cut off"),
            Fault("table-bomb", "corrupt zstd data: it decodes to more than the 17408 bytes stated"),
            Fault("table-trailing", "corrupt zstd data: Unknown frame descriptor"),
            Fault("table-dictionary", "a frame needs a dictionary; there are none in COSI"),
            Fault("table-window-over-stated", "a frame needs a window of 268435456 bytes, compression.maxWindowLog"),
            Fault("table-window-2^41", "corrupt zstd data: Frame requires too much memory"),
            Fault("table-frame-holds-less", "sample_gpt.raw.zst': corrupt zstd data: "),
            Fault("table-frame-holds-more", "sample_gpt.raw.zst': corrupt zstd data: "),
            Fault("table-frames-lie-and-add-up", "sample_gpt.raw.zst': corrupt zstd data: "),
        ] + (1...7).map { Fault("table-zstd-0.\($0)", "sample_gpt.raw.zst': corrupt zstd data: Unknown frame descriptor") }

    static let inTheData =
        [
            Fault("data-corrupt", "corrupt zstd data at decoded byte"),
            Fault("data-frame-cut", "its last zstd frame is cut off"),
            Fault("data-frame-header-cut", "its last zstd frame is cut off"),
            Fault("data-trailing", "Unknown frame descriptor"),
            Fault("data-one-byte-more", "it decodes to more than the"),
            Fault("data-frame-missing", "it decodes to 4096 bytes"),
            Fault("data-only-skippable", "it decodes to 0 bytes"),
            Fault("data-skippable-cut", "its last zstd frame is cut off"),
            Fault("data-no-zstd", "corrupt zstd data at compressed byte 0: Unknown frame descriptor"),
            Fault("data-bomb", "it decodes to more than the"),
            Fault("data-bomb-of-frames", "it decodes to more than the"),
            Fault("data-content-2^62", "a frame needs a window of 4611686018427387904 bytes"),
            Fault("data-content-2^64-1", "a frame needs a window of 18446744073709551615 bytes"),
            Fault("data-content-lies", "corrupt zstd data at decoded byte 0: Data corruption detected"),
            Fault("data-window-over-stated", "a frame needs a window of 268435456 bytes, compression.maxWindowLog"),
            Fault("data-window-2^31", "a frame needs a window of 2147483648 bytes, compression.maxWindowLog"),
            Fault("data-window-2^41", "corrupt zstd data at compressed byte 0: Frame requires too much memory"),
            Fault("data-dictionary", "a frame needs a dictionary; there are none in COSI"),
            Fault("data-looks-past-its-window", "Data corruption detected"),
            Fault("data-reserved-block", "corrupt zstd data at compressed byte 6: a block of the reserved type"),
            Fault("data-reserved-bit", "corrupt zstd data at compressed byte 0: Unsupported frame parameter"),
            Fault("data-block-too-large", "corrupt zstd data at decoded byte 0: Data corruption detected"),
            Fault("data-checksum", "corrupt zstd data at decoded byte 4: Restored data doesn't match"),
            Fault("data-frame-holds-1-byte", "a frame states that it holds"),
            Fault("data-frame-holds-less", "a frame states that it holds"),
            Fault("data-frame-holds-more", "a frame states that it holds"),
            Fault("data-last-frame-holds-less", "a frame states that it holds"),
            Fault("data-last-frame-states-less", "a frame states that it holds"),
            Fault("data-two-lies-that-add-up", "a frame states that it holds"),
            Fault("data-two-lies-that-add-up-2", "a frame states that it holds"),
            Fault("data-100000-empty-frames", "it decodes to 0 bytes"),
            Fault("data-bit-flipped", "its SHA-384 is"),
        ] + (1...7).map { Fault("data-zstd-0.\($0)", "at compressed byte 0: Unknown frame descriptor") }
}
