/// `metadata.json` as JSON: only names and types. The rules for values are in ``MetadataValidator``.
enum MetadataJSON {
    /// A number from 0 to 2^64 - 1. For one that does not fit, JSONDecoder does not name the field; this type does.
    struct WholeNumber: Decodable {
        let value: UInt64

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            do {
                value = try container.decode(UInt64.self)
            } catch DecodingError.typeMismatch(let type, let context) {
                throw DecodingError.typeMismatch(type, context)
            } catch DecodingError.valueNotFound(let type, let context) {
                throw DecodingError.valueNotFound(type, context)
            } catch {
                throw DecodingError.dataCorrupted(
                    DecodingError.Context(codingPath: decoder.codingPath, debugDescription: ""))
            }
        }
    }

    struct VersionOnly: Decodable {
        let version: String
    }

    struct Root: Decodable {
        let osArch: String
        let osRelease: String
        let id: String?
        let images: [Filesystem]
        let osPackages: [CosiMetadata.Package]?
        let bootloader: Bootloader
        let disk: Disk
        let compression: Compression
    }

    struct ImageFile: Decodable {
        let path: String
        let compressedSize: WholeNumber
        let uncompressedSize: WholeNumber
        let sha384: String
    }

    struct ContentIndexPlace: Decodable {
        let offset: WholeNumber
        let size: WholeNumber
        let sha384: String
    }

    struct Filesystem: Decodable {
        let image: ImageFile
        let mountPoint: String
        let fsType: String
        let fsUuid: String
        let partType: String
        let verity: Verity?
    }

    struct Verity: Decodable {
        let image: ImageFile
        let roothash: String
        let hashOffset: WholeNumber?
    }

    struct Bootloader: Decodable {
        let type: String
        let systemdBoot: SystemdBoot?
    }

    struct SystemdBoot: Decodable {
        let entries: [CosiMetadata.BootEntry]
    }

    struct Disk: Decodable {
        let size: WholeNumber
        let type: String
        let lbaSize: WholeNumber
        let gptRegions: [Region]
    }

    struct Region: Decodable {
        let type: String
        let number: WholeNumber?
        /// Must be well-formed only in a region of a known type.
        let image: ImageFile?
        /// Ours: the format has no such field.
        let contentIndex: ContentIndexPlace?

        private enum CodingKeys: CodingKey {
            case type, number, image, contentIndex
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            type = try container.decode(String.self, forKey: .type)
            guard Region.isKnown(type) else {
                number = nil
                image = nil
                contentIndex = nil
                return
            }
            number = try container.decodeIfPresent(WholeNumber.self, forKey: .number)
            image = try container.decode(ImageFile.self, forKey: .image)
            contentIndex = try container.decodeIfPresent(ContentIndexPlace.self, forKey: .contentIndex)
        }

        static func isKnown(_ type: String) -> Bool { type == "primary-gpt" || type == "partition" }
    }

    struct Compression: Decodable {
        let maxWindowLog: WholeNumber
    }
}
