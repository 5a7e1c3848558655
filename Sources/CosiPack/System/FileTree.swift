import StreamDisk

/// The files of one file system of the disk, read without writing to it. Paths begin with `/` and are the image's own.
protocol FileTree {
    /// What a file holds, symbolic links followed within the file system; nil if there is no such file.
    ///
    /// - Parameter isCut: whether only the first `limitBytes` are wanted. Otherwise a longer file is a failure.
    func contents(of path: String, limitBytes: Int, isCut: Bool) throws(ToolFailure) -> [UInt8]?

    /// The names in a folder, sorted, without `.` and `..`; empty if there is none.
    func names(in folder: String) throws(ToolFailure) -> [String]
}

extension FileTree {
    func contents(of path: String, limitBytes: Int = 1 << 20) throws(ToolFailure) -> [UInt8]? {
        try contents(of: path, limitBytes: limitBytes, isCut: false)
    }

    /// Nil, too, if it is not UTF-8.
    func text(of path: String, limitBytes: Int = 1 << 20) throws(ToolFailure) -> String? {
        try contents(of: path, limitBytes: limitBytes).flatMap { String(validating: $0, as: UTF8.self) }
    }

    func exists(_ path: String) throws(ToolFailure) -> Bool {
        guard let slash = path.lastIndex(of: "/") else { return false }
        return try names(in: String(path[..<slash])).contains(String(path[path.index(after: slash)...]))
    }
}

/// Whether a name may stand in the command of a tool that gives some characters a meaning: quotes, blanks, wildcards.
func isPlain(_ path: String) -> Bool {
    !path.isEmpty && path.utf8.count < 4096
        && path.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "._-+/@:,=~%".utf8.contains(byte)
            }
        }
}

/// The files of ext2, ext3 and ext4, by debugfs(8).
struct ExtFiles: FileTree {
    private static let linksMax = 8

    let descriptor: Int32
    let offsetBytes: UInt64

    func contents(of path: String, limitBytes: Int, isCut: Bool) throws(ToolFailure) -> [UInt8]? {
        var path = path
        for _ in 0..<Self.linksMax {
            guard isPlain(path) else { return nil }
            let status = String(decoding: try ask("stat", path), as: UTF8.self)
            guard status.hasPrefix("Inode: ") else { return nil }
            if status.contains("Type: regular") { return try ask("cat", path, limitBytes: limitBytes, isCut: isCut) }
            guard status.contains("Type: symlink") else { return nil }
            // debugfs follows links to folders itself, within the file system; the last name it leaves alone.
            guard let target = try target(of: path, status) else { return nil }
            path = target.hasPrefix("/") ? target : path[..<(path.lastIndex(of: "/") ?? path.startIndex)] + "/" + target
        }
        return nil
    }

    private func target(of path: String, _ status: String) throws(ToolFailure) -> String? {
        let mark = "Fast link dest: \""
        if let line = status.split(separator: "\n").first(where: { $0.hasPrefix(mark) }) {
            return String(line.dropFirst(mark.count).dropLast())
        }
        return String(validating: try ask("cat", path, limitBytes: 4096), as: UTF8.self)
    }

    func names(in folder: String) throws(ToolFailure) -> [String] {
        guard isPlain(folder.isEmpty ? "/" : folder) else { return [] }
        // /inode/mode/owner/group/name/size/
        let lines = String(decoding: try ask("ls -p", folder.isEmpty ? "/" : folder, limitBytes: 8 << 20), as: UTF8.self)
        return lines.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "/", omittingEmptySubsequences: false)
            guard fields.count == 8, fields[1] != "0", fields[5] != ".", fields[5] != ".." else { return nil }
            return String(fields[5])
        }.sorted()
    }

    private func ask(
        _ command: String, _ path: String, limitBytes: Int = 1 << 16, isCut: Bool = false
    ) throws(ToolFailure) -> [UInt8] {
        // -c leaves the bitmaps unread, and opens for reading only.
        let tool = Tool(
            program: "debugfs", arguments: ["-c", "-R", "\(command) \(path)", "\(Tool.descriptorPath)?offset=\(offsetBytes)"],
            descriptor: descriptor, outputBytesMax: limitBytes, isCut: isCut)
        let output = try tool.run()
        guard output.code == 0, !output.errors.contains("while trying to open") else {
            throw ToolFailure(program: "debugfs", reason: output.errors)
        }
        return output.bytes
    }
}

/// The files of FAT, by mtools(1).
struct FATFiles: FileTree {
    let descriptor: Int32
    let offsetBytes: UInt64

    func contents(of path: String, limitBytes: Int, isCut: Bool) throws(ToolFailure) -> [UInt8]? {
        guard isPlain(path) else { return nil }
        let output = try run("mcopy", ["-n", "::\(path)", "-"], limitBytes: limitBytes, isCut: isCut)
        return output.code == 0 ? output.bytes : nil
    }

    func names(in folder: String) throws(ToolFailure) -> [String] {
        guard folder.isEmpty || isPlain(folder) else { return [] }
        let output = try run("mdir", ["-a", "-b", "::\(folder)/"], limitBytes: 1 << 20)
        // ::/folder/name, with a slash behind a folder's.
        return String(decoding: output.bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
            line.split(separator: "/").last.map { String($0) }
        }.filter { $0 != "." && $0 != ".." && $0 != "::" }.sorted()
    }

    private func run(
        _ program: String, _ arguments: [String], limitBytes: Int, isCut: Bool = false
    ) throws(ToolFailure) -> Tool.Output {
        let image = ["-i", "\(Tool.descriptorPath)@@\(offsetBytes)"]
        return try Tool(
            program: program, arguments: image + arguments, descriptor: descriptor, outputBytesMax: limitBytes, isCut: isCut
        ).run()
    }
}
