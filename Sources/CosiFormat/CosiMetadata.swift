/// The `metadata.json` of a COSI file, version 1.2 or a later 1.x, with every check that needs nothing but its text.
///
/// Required and optional fields: `id`, `verity` and `verity.hashOffset` may be absent or null; so may `osPackages`, with a
/// warning (Azure Container Linux writes none). `bootloader.type` may be empty (Image Customizer's value for no boot loader),
/// or unknown, with a warning. Everything else in the format's table is required: `bootloader`, `disk` and
/// `compression.maxWindowLog` came with 1.1 and 1.2, and every known producer writes them. Unknown fields are ignored
/// everywhere. A duplicate key in any object is an error.
public struct CosiMetadata: Sendable {
    /// Longer input is refused. Real metadata is tens to hundreds of kilobytes, nearly all of it the package list.
    package static let inputBytesMax = 16 << 20
    /// The maximum depth of nested arrays and objects; the format itself needs 5.
    package static let depthMax = 64
    /// The maximum number of arrays, objects and members in total. A package counts as six: enough for 80,000 packages.
    package static let valueCountMax = 500_000
    /// The maximum number of regions, including those of unknown type: twice the number of entries a GPT may have.
    package static let regionCountMax = 2 * GPT.entryCountMax
    /// The window logs that zstd can encode: ZSTD_WINDOWLOG_MIN to ZSTD_WINDOWLOG_MAX of a 64-bit build.
    package static let windowLogRange = 10...31

    /// The version of the format.
    public struct Version: Sendable, Equatable, CustomStringConvertible {
        /// A new major version may change anything.
        public let major: UInt32
        /// A new minor version only adds fields.
        public let minor: UInt32
        public var description: String { "\(major).\(minor)" }
    }

    /// The machine architectures that the format defines.
    public enum Architecture: String, Sendable, CustomStringConvertible {
        // swift-format-ignore: AlwaysUseLowerCamelCase
        case x86_64  // as the format spells it
        case arm64
        public var description: String { rawValue }
    }

    /// A compressed image in one of the tar's entries.
    public struct ImageFile: Sendable {
        /// The tar entry's name: below `images/`, without `.`, `..` or empty components.
        public let path: String
        /// Size of the tar entry in bytes; at least 1.
        public let compressedSizeBytes: UInt64
        /// Decoded size in bytes; at most the disk's size.
        public let uncompressedSizeBytes: UInt64
        /// SHA-384 of the compressed bytes; 48 bytes.
        public let sha384: [UInt8]

        /// The path as bytes, for comparisons: `String`'s `==` treats canonically equivalent text as equal.
        var pathBytes: [UInt8] { Array(path.utf8) }

        package init(path: String, compressedSizeBytes: UInt64, uncompressedSizeBytes: UInt64, sha384: [UInt8]) {
            self.path = path
            self.compressedSizeBytes = compressedSizeBytes
            self.uncompressedSizeBytes = uncompressedSizeBytes
            self.sha384 = sha384
        }
    }

    /// A file system's dm-verity hash tree.
    package struct Verity: Sendable {
        /// The image that holds the hash tree: that of a hash partition, or the filesystem's own (inline verity).
        package let image: ImageFile
        /// The root hash as written in the metadata.
        package let rootHash: String
        /// Where the dm-verity superblock begins in ``image``, in bytes: inside it, a multiple of 512. No write depends on it.
        /// With inline verity it is never 0; it is nil, with a warning, if the producer left it out.
        package let hashOffset: UInt64?
        /// Whether the hash tree follows the filesystem in the filesystem's own image.
        package let isInline: Bool

        package init(image: ImageFile, rootHash: String, hashOffset: UInt64?, isInline: Bool) {
            self.image = image
            self.rootHash = rootHash
            self.hashOffset = hashOffset
            self.isInline = isInline
        }
    }

    /// What the metadata says about a file system.
    public struct Filesystem: Sendable {
        /// Its image.
        public let image: ImageFile
        /// As written in the metadata; empty, `none` or `swap` if it is not mounted.
        public let mountPoint: String
        /// Such as `ext4`, as written in the metadata.
        public let fsType: String
        /// A UUID, a FAT volume ID such as `A1B2-C3D4`, or anything else: not checked.
        public let fsUUID: String
        /// The type GUID of its partition.
        package let partitionType: GUID
        /// Its dm-verity hash tree; nil if it has none.
        package let verity: Verity?

        /// Whether ``mountPoint`` is a path.
        package var isMounted: Bool { mountPoint.utf8.first == UInt8(ascii: "/") }

        package init(
            image: ImageFile, mountPoint: String, fsType: String, fsUUID: String, partitionType: GUID,
            verity: Verity?
        ) {
            self.image = image
            self.mountPoint = mountPoint
            self.fsType = fsType
            self.fsUUID = fsUUID
            self.partitionType = partitionType
            self.verity = verity
        }
    }

    /// An installed package.
    package struct Package: Sendable, Equatable, Decodable {
        /// As written in the metadata.
        package let name: String
        /// As written in the metadata.
        package let version: String
        /// As written in the metadata.
        package let release: String
        /// As written in the metadata.
        package let arch: String

        package init(name: String, version: String, release: String, arch: String) {
            self.name = name
            self.version = version
            self.release = release
            self.arch = arch
        }
    }

    /// A boot loader entry (Boot Loader Specification).
    package struct BootEntry: Sendable, Equatable, Decodable {
        /// As written in the metadata.
        package let type: String
        /// As written in the metadata.
        package let path: String
        /// As written in the metadata.
        package let cmdline: String
        /// As written in the metadata.
        package let kernel: String

        package init(type: String, path: String, cmdline: String, kernel: String) {
            self.type = type
            self.path = path
            self.cmdline = cmdline
            self.kernel = kernel
        }
    }

    /// How the image boots.
    package struct Bootloader: Sendable, Equatable {
        /// `grub`, `systemd-boot`, empty, or another value as written.
        package let type: String
        /// The entries of systemd-boot.
        package let entries: [BootEntry]

        /// - Parameter entries: systemd-boot's.
        package init(type: String, entries: [BootEntry]) {
            self.type = type
            self.entries = entries
        }
    }

    /// A part of the disk that the image contains.
    public struct Region: Sendable {
        /// What the region is.
        public enum Kind: Sendable, Equatable {
            case primaryGPT
            /// The GPT entry's number, from 1.
            case partition(number: Int)
        }
        /// The image that holds its bytes.
        public let image: ImageFile
        /// What the region is.
        public let kind: Kind
        /// Where its image has a ``ContentIndex``; nil where it has none.
        package let contentIndex: ContentIndexPlace?

        package init(image: ImageFile, kind: Kind, contentIndex: ContentIndexPlace? = nil) {
            self.image = image
            self.kind = kind
            self.contentIndex = contentIndex
        }
    }

    /// The bytes of an image that are its ``ContentIndex`` (docs/CONTENT_INDEX.md; the format itself knows none).
    package struct ContentIndexPlace: Sendable, Equatable {
        /// From the image's first compressed byte.
        package let offset: UInt64
        /// Of the index's bytes.
        package let sizeBytes: UInt64
        /// Of the index's bytes.
        package let sha384: [UInt8]

        package init(offset: UInt64, sizeBytes: UInt64, sha384: [UInt8]) {
            self.offset = offset
            self.sizeBytes = sizeBytes
            self.sha384 = sha384
        }
    }

    /// The disk that the image was taken from.
    public struct DiskLayout: Sendable {
        /// A multiple of ``lbaSize``.
        public let sizeBytes: UInt64
        /// 512 or 4096.
        public let lbaSize: Int
        /// The primary GPT first, then the partitions in the order written. Regions of unknown type are left out.
        public let gptRegions: [Region]

        package init(sizeBytes: UInt64, lbaSize: Int, gptRegions: [Region]) {
            self.sizeBytes = sizeBytes
            self.lbaSize = lbaSize
            self.gptRegions = gptRegions
        }
    }

    /// The version of the format.
    public let version: Version
    /// The architecture that the image is for.
    public let osArch: Architecture
    /// The contents of `/etc/os-release`, unchanged.
    public let osRelease: String
    /// A UUID, as written in the metadata.
    public let id: String?
    /// The file systems.
    public let images: [Filesystem]
    /// The installed packages; nil if the metadata lists none.
    package let osPackages: [Package]?
    /// How the image boots.
    package let bootloader: Bootloader
    /// The disk that the image was taken from.
    public let disk: DiskLayout
    /// Decode with at most this window.
    public let maxWindowLog: Int

    /// An index into `disk.gptRegions`.
    let regionIndexByPath: [[UInt8]: Int]
    /// An index into `images`, by the path of the filesystem's image.
    let filesystemIndexByPath: [[UInt8]: Int]

    /// The region whose image a tar entry holds, by the entry's name.
    package func region(for entry: TarEntry) -> Region? {
        regionIndexByPath[entry.nameBytes].map { disk.gptRegions[$0] }
    }

    /// Decodes `metadata.json` and makes every check that needs nothing but its text.
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
