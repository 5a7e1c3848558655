import CosiFormat
import Foundation
import Testing

/// A valid `metadata.json`, to be changed one field at a time.
struct MetadataSample {
    /// One image of the sample, as its JSON has it.
    struct Image {
        var path: String
        var compressed: UInt64 = 1000
        var uncompressed: UInt64
        var digit: Character

        var json: [String: Any] {
            [
                "path": path, "compressedSize": compressed, "uncompressedSize": uncompressed,
                "sha384": String(repeating: digit, count: 96),
            ]
        }
    }

    /// For ``SgdiskDisk``: an ESP, a root with a verity hash partition of its own.
    static let gpt = Image(path: "images/disk_gpt.raw.zst", uncompressed: 17408, digit: "0")
    static let esp = Image(path: "images/disk_1.raw.zst", uncompressed: 8192 * 512, digit: "1")
    static let hash = Image(path: "images/deep/er/disk_2.raw.zst", uncompressed: 4096, digit: "2")
    static let root = Image(path: "images/disk_3.raw.zst", uncompressed: 20480 * 512, digit: "A")

    private(set) var json: Any

    init() {
        json =
            [
                "version": "1.2",
                "osArch": "x86_64",
                "osRelease": "ID=azurelinux\nVERSION_ID=\"3.0\"\n",
                "id": "0a6cdd47-1a8b-4f3d-9c83-0d6b7e1c5a11",
                "images": [
                    [
                        "image": Self.esp.json, "mountPoint": "/boot/efi", "fsType": "vfat", "fsUuid": "C3D4-250D",
                        "partType": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "verity": NSNull(),
                    ],
                    [
                        "image": Self.root.json, "mountPoint": "/", "fsType": "ext4",
                        "fsUuid": "88d2fa9b-7a32-450a-a9f8-aa9c3de79298",
                        "partType": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
                        "verity": ["image": Self.hash.json, "roothash": "646c82fa"],
                    ],
                ],
                "osPackages": [
                    ["name": "bash", "version": "5.1.8", "release": "1.azl3", "arch": "x86_64"],
                    ["name": "tzdata", "version": "2024a", "release": "1.azl3", "arch": "noarch"],
                ],
                "bootloader": [
                    "type": "systemd-boot",
                    "systemdBoot": [
                        "entries": [
                            ["type": "uki-standalone", "path": "/efi/a.efi", "cmdline": "ro", "kernel": "6.6.78.1"]
                        ]
                    ],
                ],
                "disk": [
                    "size": SgdiskDisk.sizeBytes, "type": "gpt", "lbaSize": 512,
                    "gptRegions": [
                        ["image": Self.gpt.json, "type": "primary-gpt"],
                        ["image": Self.esp.json, "type": "partition", "number": 1],
                        ["image": Self.hash.json, "type": "partition", "number": 2],
                        ["image": Self.root.json, "type": "partition", "number": 3],
                    ],
                ],
                "compression": ["maxWindowLog": 27],
            ] as [String: Any]
    }

    /// Puts the JSON text `value` at a path such as `disk.gptRegions[1].image`; nil removes what is there. An index
    /// one behind an array's end appends.
    mutating func set(_ path: String, to value: String?) throws {
        let keys = path.split { ".[]".contains($0) }.map(String.init)
        let new = try value.map { try JSONSerialization.jsonObject(with: Data($0.utf8), options: .fragmentsAllowed) }
        json = try #require(Self.changed(json, keys[...], to: new))
    }

    private static func changed(_ json: Any, _ keys: ArraySlice<String>, to new: Any?) -> Any? {
        guard let key = keys.first else { return new }
        if var object = json as? [String: Any] {
            object[key] = changed(object[key] ?? NSNull(), keys.dropFirst(), to: new)
            return object
        }
        guard var array = json as? [Any], let index = Int(key) else { return nil }
        if index == array.count { array.append(NSNull()) }
        if let value = changed(array[index], keys.dropFirst(), to: new) {
            array[index] = value
        } else {
            array.remove(at: index)
        }
        return array
    }

    func bytes() throws -> [UInt8] { [UInt8](try JSONSerialization.data(withJSONObject: json)) }

    func parse() throws -> (CosiMetadata, [FormatWarning]) { try CosiMetadata.parse(bytes()) }

    /// Changes such as `osArch=arm64` as (path, JSON text or nil) pairs, applied in order.
    static func with(_ changes: [(String, String?)]) throws -> MetadataSample {
        var sample = MetadataSample()
        for (path, value) in changes { try sample.set(path, to: value) }
        return sample
    }
}

/// The error of `body`, nil when there is none.
func formatError<T>(_ body: () throws -> T) throws -> FormatError? {
    do {
        _ = try body()
        return nil
    } catch let error as FormatError {
        return error
    }
}
