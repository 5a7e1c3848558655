/// `/etc/fstab`, as far as it says where partitions of the disk are mounted (fstab(5)).
struct Fstab {
    /// By partition number: a path, or `swap`.
    private(set) var mountPoints: [Int: String] = [:]
    private(set) var warnings: [String] = []

    init(_ text: String, partitions: [SystemPartition]) {
        var taken: Set<String> = []
        for line in text.split(separator: "\n") {
            let fields = line.split { $0 == " " || $0 == "\t" }
            guard fields.count >= 3, !fields[0].hasPrefix("#") else { continue }
            let source = Self.plain(fields[0])
            let point = fields[2] == "swap" ? "swap" : Self.normal(Self.plain(fields[1]))
            guard let point else { continue }
            guard let key = Self.key(of: source) else {
                if source.hasPrefix("/dev/") {
                    warnings.append(
                        "/etc/fstab: \(source) for \(point) names no partition on another machine; it needs a UUID, PARTUUID, LABEL "
                            + "or PARTLABEL")
                }
                continue
            }
            let found = partitions.filter { Self.names(key, $0) }
            guard let partition = found.first else { continue }
            if found.count > 1 { warnings.append("/etc/fstab: \(source) names several partitions; the first one is taken") }
            if mountPoints[partition.number] != nil || (point != "swap" && taken.contains(point)) {
                // A subvolume of btrfs, or a second line for the same folder: the metadata has one mount point a file system.
                continue
            }
            mountPoints[partition.number] = point
            taken.insert(point)
        }
    }

    private enum Key {
        case uuid(String), partitionID(String), label(String), partitionName(String)
    }

    /// By tag, or by the links that udev makes of the same facts.
    private static func key(of source: String) -> Key? {
        func rest(_ prefixes: [String]) -> String? {
            for prefix in prefixes where source.hasPrefix(prefix) {
                let value = source.dropFirst(prefix.count)
                return value.count > 1 && value.first == "\"" && value.last == "\""
                    ? String(value.dropFirst().dropLast()) : String(value)
            }
            return nil
        }
        if let value = rest(["UUID=", "/dev/disk/by-uuid/"]) { return .uuid(value.lowercased()) }
        if let value = rest(["PARTUUID=", "/dev/disk/by-partuuid/"]) { return .partitionID(value.lowercased()) }
        if let value = rest(["LABEL=", "/dev/disk/by-label/"]) { return .label(value) }
        if let value = rest(["PARTLABEL=", "/dev/disk/by-partlabel/"]) { return .partitionName(value) }
        return nil
    }

    private static func names(_ key: Key, _ partition: SystemPartition) -> Bool {
        switch key {
        case .uuid(let value): partition.signature?.uuid?.lowercased() == value
        case .partitionID(let value): partition.uniqueID.description == value
        case .label(let value): partition.signature?.label == value
        case .partitionName(let value): partition.name == value
        }
    }

    /// An absolute path without empty parts and a slash at its end; nil for anything else.
    private static func normal(_ path: String) -> String? {
        let parts = path.split(separator: "/")
        guard path.hasPrefix("/"), !parts.contains(".."), !parts.contains(".") else { return nil }
        return "/" + parts.joined(separator: "/")
    }

    /// A field with its blanks: they are written as octal numbers.
    private static func plain(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(field).utf8
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let value = UInt8(String(Substring(digits)), radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
