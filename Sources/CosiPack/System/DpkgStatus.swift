import CosiFormat

/// `/var/lib/dpkg/status` (deb822(5), dpkg-query(1)).
enum DpkgStatus {
    static let path = "/var/lib/dpkg/status"
    /// A desktop's is 5 MiB.
    static let bytesMax = 64 << 20
    static let packagesMax = 80_000

    /// The packages that are installed, in the order of the file. What follows a version's last hyphen is its release.
    static func packages(_ bytes: [UInt8]) -> [CosiMetadata.Package] {
        var packages: [CosiMetadata.Package] = []
        var fields: [String: String] = [:]
        func end() {
            defer { fields = [:] }
            guard let name = fields["Package"], let version = fields["Version"], packages.count < packagesMax,
                fields["Status"]?.hasSuffix(" installed") == true
            else { return }
            let hyphen = version.lastIndex(of: "-")
            packages.append(
                CosiMetadata.Package(
                    name: name, version: String(version[..<(hyphen ?? version.endIndex)]),
                    release: hyphen.map { String(version[version.index(after: $0)...]) } ?? "", arch: fields["Architecture"] ?? ""
                ))
        }
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if line.isEmpty {
                end()
            } else if let colon = line.firstIndex(of: UInt8(ascii: ":")), line.first != UInt8(ascii: " ") {
                let key = String(decoding: line[..<colon], as: UTF8.self)
                guard ["Package", "Status", "Version", "Architecture"].contains(key) else { continue }
                fields[key] = String(decoding: line[(colon + 1)...].drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
            }
        }
        end()
        return packages
    }
}
