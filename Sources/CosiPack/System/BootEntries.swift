import CosiFormat

/// The boot loader on an EFI system partition, and the entries of systemd-boot (The Boot Loader Specification; systemd-boot(7),
/// systemd-stub(7)).
struct BootEntries {
    private static let entriesMax = 200
    private static let entryBytesMax = 64 << 10
    /// The parts of a unified kernel image that say something come before the kernel and the initial RAM disk.
    private static let headBytes = 4 << 20

    let tree: any FileTree
    /// Where the system mounts the partition.
    let mountPoint: String

    /// Whether systemd-boot itself is there.
    func hasSystemdBoot() throws(ToolFailure) -> Bool {
        try names(in: "/EFI/systemd").contains { $0.hasPrefix("systemd-boot") }
    }

    func hasGrub() throws(ToolFailure) -> Bool {
        for folder in try names(in: "/EFI") where folder != "Linux" {
            for file in try names(in: "/EFI/\(folder)") where file.hasPrefix("grub") { return true }
        }
        return false
    }

    /// Names in lower case where FAT has them in upper case only.
    private func names(in folder: String) throws(ToolFailure) -> [String] { try tree.names(in: folder) }

    func entries() throws(ToolFailure) -> [CosiMetadata.BootEntry] {
        var entries: [CosiMetadata.BootEntry] = []
        for name in try names(in: "/loader/entries").prefix(Self.entriesMax) where name.hasSuffix(".conf") {
            let path = "/loader/entries/" + name
            guard let text = try tree.text(of: path, limitBytes: Self.entryBytesMax) else { continue }
            if let entry = try entry(text, path: mountPoint + path) { entries.append(entry) }
        }
        for name in try names(in: "/EFI/Linux").prefix(Self.entriesMax) where name.lowercased().hasSuffix(".efi") {
            let path = "/EFI/Linux/" + name
            guard let kernel = try unified(path) else { continue }
            entries.append(
                CosiMetadata.BootEntry(
                    type: "uki-standalone", path: mountPoint + path, cmdline: kernel.commandLine, kernel: kernel.release))
        }
        return entries
    }

    private func entry(_ text: String, path: String) throws(ToolFailure) -> CosiMetadata.BootEntry? {
        var (kernel, options, image, version): (String?, [String], String?, String?) = (nil, [], nil, nil)
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(maxSplits: 1) { $0 == " " || $0 == "\t" }
            guard words.count == 2 else { continue }
            let value = String(words[1].drop { $0 == " " || $0 == "\t" })
            switch words[0] {
            case "linux": kernel = value
            case "efi", "uki": image = value
            case "options": options.append(value)
            case "version": version = value
            default: break
            }
        }
        if let kernel {
            return CosiMetadata.BootEntry(type: "config", path: path, cmdline: options.joined(separator: " "), kernel: kernel)
        }
        guard let image, let found = try unified(image.hasPrefix("/") ? image : "/" + image) else { return nil }
        let commandLine = options.isEmpty ? found.commandLine : options.joined(separator: " ")
        return CosiMetadata.BootEntry(
            type: "uki-config", path: path, cmdline: commandLine, kernel: found.release.isEmpty ? version ?? image : found.release
        )
    }

    private func unified(_ path: String) throws(ToolFailure) -> (commandLine: String, release: String)? {
        guard let head = try tree.contents(of: path, limitBytes: Self.headBytes, isCut: true),
            let sections = PESections(head), sections.has(".linux")
        else { return nil }
        return (sections.text(".cmdline"), sections.text(".uname"))
    }
}

/// The sections of a PE program (Microsoft, "PE Format").
struct PESections {
    private let bytes: [UInt8]
    private var places: [String: (offset: Int, count: Int)] = [:]

    /// Nil if it is none.
    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        guard bytes.count >= 64, bytes[0] == 0x4D, bytes[1] == 0x5A else { return nil }
        let header = Int(bytes.little32(60))
        guard header <= bytes.count - 24, bytes.little32(header) == 0x0000_4550 else { return nil }
        let table = header + 24 + Int(bytes.little16(header + 20))
        for index in 0..<Int(bytes.little16(header + 6)) {
            let at = table + 40 * index
            guard at <= bytes.count - 40 else { break }
            let name = String(decoding: bytes[at..<at + 8].prefix { $0 != 0 }, as: UTF8.self)
            places[name] = (Int(bytes.little32(at + 20)), Int(min(bytes.little32(at + 8), bytes.little32(at + 16))))
        }
    }

    func has(_ name: String) -> Bool { places[name] != nil }

    /// A section's text without what ends it; empty if it is not there.
    func text(_ name: String) -> String {
        guard let (offset, count) = places[name], offset <= bytes.count, count <= bytes.count - offset, count <= 64 << 10 else {
            return ""
        }
        let text = String(decoding: bytes[offset..<offset + count].prefix { $0 != 0 }, as: UTF8.self)
        return String(text.reversed().drop { $0.isWhitespace }.reversed())
    }
}
