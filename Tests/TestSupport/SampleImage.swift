import Foundation
import Glibc
import Synchronization

/// An image that Tests/Images/make-image built of real file systems, and the raw disk it was made from.
///
/// Built once a process for each set of options; the files go when the process ends. Read them, do not change them.
struct SampleImage: Sendable {
    /// What make-image says of the image; taken from the raw disk.
    struct Manifest: Decodable, Sendable {
        struct Region: Decodable, Sendable {
            let name: String
            let number: Int
            let firstLba: UInt64
            let lastLba: UInt64
            let path: String
            let offset: UInt64
            let uncompressedSize: UInt64
            let compressedSize: UInt64
        }
        struct Table: Decodable, Sendable { let uncompressedSize: UInt64 }

        let metadataSha384: String
        let diskSize: UInt64
        let lba: UInt64
        let gpt: Table
        let regions: [Region]
    }

    /// Small, so that a test takes a second: an ESP of 4 MiB and an ext4 of 26.
    static let small = "--size 32M --esp-mib 4"

    let path: String
    /// The truth: the whole disk as it was before anything was packed.
    let rawPath: String
    let manifestPath: String
    let manifest: Manifest

    var diskBytes: UInt64 { manifest.diskSize }
    var compressedBytes: UInt64 { manifest.regions.reduce(0) { $0 + $1.compressedSize } }
    var decodedBytes: UInt64 { manifest.regions.reduce(0) { $0 + $1.uncompressedSize } }
    var bytes: [UInt8] { get throws { Array(try Data(contentsOf: URL(filePath: path))) } }

    func region(_ name: String) throws -> Manifest.Region {
        guard let region = manifest.regions.first(where: { $0.name == name }) else { throw NoSuchRegion(name: name) }
        return region
    }
    struct NoSuchRegion: Error { let name: String }

    /// Where the compressed bytes of a partition's image begin in the file; for images with short names.
    func fileOffset(of region: Manifest.Region) throws -> Int {
        // As in `block 9: images/sample_1.raw.zst`: the header's block, the data are in the next one.
        let lines = try run("tar", ["--list", "--block-number", "--file", path]).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasSuffix(": " + region.path) }),
            let block = Int(line.dropFirst("block ".count).prefix { $0 != ":" })
        else { throw NoSuchRegion(name: region.name) }
        return (block + 1) * 512
    }

    // MARK: Building

    private final class Build: Sendable {
        let image = Mutex<SampleImage?>(nil)
    }
    private static let builds = Mutex<[String: Build]>([:])
    private static let folder: URL = {
        atexit { try? FileManager.default.removeItem(at: SampleImage.folder) }
        return FileManager.default.temporaryDirectory.appending(path: "stream-disk-samples-\(UUID().uuidString)")
    }()

    /// - Parameters:
    ///   - options: make-image's, divided by spaces.
    ///   - imageless: the name of a partition whose image the metadata does not name: the disk keeps its bytes there.
    static func make(_ options: String = small + " --level 3", imageless: String? = nil) throws -> SampleImage {
        let key = options + " without " + (imageless ?? "none")
        let build = builds.withLock { builds in
            let build = builds[key] ?? Build()
            builds[key] = build
            return build
        }
        return try build.image.withLock { image in
            if let image { return image }
            let made = try make(in: folder.appending(path: UUID().uuidString), options, imageless: imageless)
            image = made
            return made
        }
    }

    private static func make(in folder: URL, _ options: String, imageless: String?) throws -> SampleImage {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let (image, raw, manifest) = (folder.path + "/image.cosi", folder.path + "/disk.raw", folder.path + "/manifest.json")
        let filter = "del(.disk.gptRegions[] | select(.image.path == $path))"
        var arguments = options.split(separator: " ").map(String.init)
        arguments += ["--out", image, "--raw", raw, "--manifest", manifest, "--random-seed", "0"]
        try run(imagesFolder + "/make-image", arguments)
        if let imageless {
            let select = ".regions[] | select(.name == \"\(imageless)\") | .path"
            let path = try run("jq", ["-r", select, manifest]).trimmingCharacters(in: .whitespacesAndNewlines)
            let edit = filter.replacing("$path", with: "\"\(path)\"")
            try run(imagesFolder + "/make-image", arguments + ["--edit-metadata", edit])
            let rest = try run("jq", ["del(.regions[] | select(.name == \"\(imageless)\"))", manifest])
            try rest.write(toFile: manifest, atomically: true, encoding: .utf8)
        }
        let parsed = try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: URL(filePath: manifest)))
        return SampleImage(path: image, rawPath: raw, manifestPath: manifest, manifest: parsed)
    }

    /// Tests/Images, seen from any folder of tests.
    static let imagesFolder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Images").path

    /// Makes broken images of a good one.
    static let breakImage = imagesFolder + "/break-image"

    // MARK: Changed copies

    /// A copy taken apart with tar, changed, and packed again.
    ///
    /// - Parameters:
    ///   - region: the name of the partition whose image is changed; sizes and hash in the metadata follow.
    ///   - script: run by bash, with that image's file as `$1` and the raw bytes of the partition's image on standard input.
    ///   - metadata: a jq filter over metadata.json, applied last.
    ///   - isTableLast: moves the partition table's image behind the partitions'.
    func repacked(
        in folder: URL, changing region: String? = nil, by script: String = "true", metadata filter: String = ".",
        isTableLast: Bool = false
    ) throws -> String {
        let tree = folder.appending(path: "tree-\(UUID().uuidString)").path
        let copy = folder.appending(path: "changed-\(UUID().uuidString).cosi").path
        try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: tree) }
        let changed = try region.map { try self.region($0) }
        try run(
            "bash",
            [
                "-euo", "pipefail", "-c", Self.repack, "repack",
                path, copy, tree, changed?.path ?? "", script, filter, isTableLast ? "yes" : "no",
                rawPath, "\(changed?.offset ?? 0)", "\(changed?.uncompressedSize ?? 0)",
            ])
        return copy
    }

    private static let repack = """
        image=$1 copy=$2 tree=$3 path=$4 script=$5 filter=$6 table_last=$7 raw=$8 offset=$9 length=${10}
        tar -C "$tree" -xf "$image"
        mapfile -t members < <(tar -tf "$image")
        cd "$tree"
        if [[ $path ]]; then
            dd if="$raw" iflag=skip_bytes,count_bytes skip="$offset" count="$length" bs=1M status=none |
                bash -euo pipefail -c "$script" change "$path" || [[ $? == 141 ]]
            jq --arg path "$path" --arg sha384 "$(sha384sum <"$path" | cut -d ' ' -f 1)" \\
                --argjson size "$(stat -c %s "$path")" '(.. | objects | select(.path == $path and has("sha384"))) |=
                    . + {sha384: $sha384, compressedSize: $size}' metadata.json >"$copy"
            mv "$copy" metadata.json
        fi
        jq "$filter" metadata.json >"$copy"
        mv "$copy" metadata.json
        if [[ $table_last == yes ]]; then
            first=() last=()
            for member in "${members[@]}"; do
                if [[ $member == *_gpt* ]]; then last+=("$member"); else first+=("$member"); fi
            done
            members=("${first[@]}" "${last[@]}")
        fi
        tar -cf "$copy" --format=ustar --owner=0 --group=0 "${members[@]}"
        """
}
