/// `metadata.json` of a COSI file, version 1.2 or a later 1.x, checked as far as it can be on its own.
///
/// What is required and what may be missing: `id`, `verity` and `verity.hashOffset` may be absent or null; `osPackages`
/// too, with a warning (Azure Container Linux writes none); `bootloader.type` may be empty (Image Customizer's word for
/// none), or unknown, with a warning. All else in the format's table must be there: `bootloader`, `disk` and
/// `compression.maxWindowLog` since 1.1 and 1.2, and no known producer leaves them out. Unknown fields are ignored
/// everywhere; a key that is twice in one object is refused, wherever it is.
public struct CosiMetadata: Sendable {
    /// Input beyond this is refused. Real metadata is tens to hundreds of kilobytes, nearly all of it packages.
    package static let inputBytesMax = 16 << 20
    /// Arrays and objects may nest this deep; the format's own nest 5 deep.
    package static let depthMax = 64
    /// Arrays, objects and their members, all together. A package of the list takes six: room for 80,000.
    package static let valueCountMax = 500_000
    /// Regions beyond this are refused, those of unknown type too: twice what a GPT has entries for.
    package static let regionCountMax = 2 * GPT.entryCountMax
    /// What zstd can encode: ZSTD_WINDOWLOG_MIN to ZSTD_WINDOWLOG_MAX of a 64-bit build.
    package static let windowLogRange = 10...31

    /// Of the format.
    public struct Version: Sendable, Equatable, CustomStringConvertible {
        /// A change of it may change everything.
        public let major: UInt32
        /// A change of it adds.
        public let minor: UInt32
        public var description: String { "\(major).\(minor)" }
    }

    /// The machines that the format knows.
    public enum Architecture: String, Sendable, CustomStringConvertible {
        // swift-format-ignore: AlwaysUseLowerCamelCase
        case x86_64  // as the format spells it
        case arm64
        public var description: String { rawValue }
    }

    /// A compressed image among the tar's entries.
    public struct ImageFile: Sendable {
        /// The tar entry's name: under `images/`, without `.`, `..` or empty parts.
        public let path: String
        /// Bytes of the tar entry: 1 or more.
        public let compressedSizeBytes: UInt64
        /// At most the disk's size.
        public let uncompressedSizeBytes: UInt64
        /// Of the compressed bytes, 48 bytes.
        public let sha384: [UInt8]

        /// The path for comparisons: `String`'s own `==` takes canonically equivalent text for equal.
        var pathBytes: [UInt8] { Array(path.utf8) }
    }

    /// A file system's dm-verity hash tree.
    public struct Verity: Sendable {
        /// The image that has the hash tree: a hash partition's, or the filesystem's own (inline verity).
        public let image: ImageFile
        /// As recorded.
        public let rootHash: String
        /// Where dm-verity's superblock begins in ``image``, in bytes: inside it, a multiple of 512. Nothing is written
        /// from it. With inline verity never 0, and nil, with a warning, when the producer left it out.
        public let hashOffset: UInt64?
        /// Whether the hash tree lies behind the filesystem in the filesystem's own image.
        public let isInline: Bool
    }

    /// What the metadata says of a file system.
    public struct Filesystem: Sendable {
        /// Its image.
        public let image: ImageFile
        /// As recorded; empty, `none` or `swap` where there is none.
        public let mountPoint: String
        /// Such as `ext4`, as recorded.
        public let fsType: String
        /// A UUID, or FAT's `A1B2-C3D4`, or anything else: not checked.
        public let fsUUID: String
        /// The type of its partition.
        public let partitionType: GUID
        /// Its hash tree; nil where it has none.
        public let verity: Verity?

        /// Whether ``mountPoint`` is a path.
        package var isMounted: Bool { mountPoint.utf8.first == UInt8(ascii: "/") }
    }

    /// An installed package.
    public struct Package: Sendable, Equatable {
        /// As recorded.
        public let name: String
        /// As recorded.
        public let version: String
        /// As recorded.
        public let release: String
        /// As recorded.
        public let arch: String
    }

    /// A boot loader entry (Boot Loader Specification).
    public struct BootEntry: Sendable, Equatable {
        /// As recorded.
        public let type: String
        /// As recorded.
        public let path: String
        /// As recorded.
        public let cmdline: String
        /// As recorded.
        public let kernel: String
    }

    /// How the image boots.
    public struct Bootloader: Sendable, Equatable {
        /// `grub`, `systemd-boot`, empty, or what else was written.
        public let type: String
        /// systemd-boot's.
        public let entries: [BootEntry]
    }

    /// A part of the disk that the image has bytes for.
    public struct Region: Sendable {
        /// What the region is.
        public enum Kind: Sendable, Equatable {
            case primaryGPT
            /// The GPT entry's number, from 1.
            case partition(number: Int)
        }
        /// Its image.
        public let image: ImageFile
        /// What the region is.
        public let kind: Kind
    }

    /// The disk that the image was taken from.
    public struct DiskLayout: Sendable {
        /// A multiple of ``lbaSize``.
        public let sizeBytes: UInt64
        /// 512 or 4096.
        public let lbaSize: Int
        /// The primary GPT first, then the partitions in the order written. Regions of unknown type are left out.
        public let gptRegions: [Region]
    }

    /// Of the format.
    public let version: Version
    /// The machine that the image is for.
    public let osArch: Architecture
    /// Verbatim `/etc/os-release`.
    public let osRelease: String
    /// A UUID as written.
    public let id: String?
    /// The file systems.
    public let images: [Filesystem]
    /// Nil when the image has none.
    public let osPackages: [Package]?
    /// How the image boots.
    public let bootloader: Bootloader
    /// The disk that the image was taken from.
    public let disk: DiskLayout
    /// Decode within this window, never more.
    public let maxWindowLog: Int

    /// Into `disk.gptRegions`.
    let regionIndexByPath: [[UInt8]: Int]
    /// Into `images`, by the path of the filesystem's image.
    let filesystemIndexByPath: [[UInt8]: Int]

    /// The region that a tar entry carries, by its name.
    package func region(for entry: TarEntry) -> Region? {
        regionIndexByPath[entry.nameBytes].map { disk.gptRegions[$0] }
    }

    /// Decodes and checks everything that `metadata.json` says on its own.
    ///
    /// Errors name the field by its path, such as `metadata.json: disk.gptRegions[2].image.sha384`.
    public static func parse(_ json: [UInt8]) throws(FormatError) -> (CosiMetadata, [FormatWarning]) {
        let document = try JSONDocument(json, name: "metadata.json", bytesMax: inputBytesMax)
        var builder = MetadataValidator()
        // The version first: another major version may have changed everything else.
        let version = try builder.version(try document.decode(MetadataJSON.VersionOnly.self))
        let raw = try document.decode(MetadataJSON.Root.self)
        let metadata = try builder.build(raw, version: version)
        return (metadata, builder.warnings)
    }
}
