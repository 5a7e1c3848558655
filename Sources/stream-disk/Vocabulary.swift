import StreamDisk

// A disk and its contents, in words for a person.

extension DiskInfo {
    /// Its vendor, model and transport.
    var names: [String] {
        let maker = [vendor, model].compactMap { $0 }.joined(separator: " ")
        return [maker.isEmpty ? nil : maker, serial.map { "serial \($0)" }, transport].compactMap { $0 }
    }
}

extension DiskContents {
    /// The short form for a table of disks.
    var summary: String {
        var parts: [String] = []
        if let tableType { parts.append("\(tableType), \(partitionCount) partition\(partitionCount == 1 ? "" : "s")") }
        if let signature { parts.append(signature.text) }
        return parts.isEmpty ? "no known content" : parts.joined(separator: "; ")
    }
}

extension DiskContents.Signature {
    /// `ext4 'root'`
    var text: String { type + (label.map { " '\($0)'" } ?? "") }
}
