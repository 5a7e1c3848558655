import Foundation

/// A disk that carries something already, made by standard tools.
enum OldDisk {
    /// A GPT with a FAT of 4 MiB labelled OLDBOOT, and an ext4 of 8 MiB labelled precious.
    ///
    /// - Parameter sizeBytes: of the file to be made; nil for what is there already.
    static func make(_ path: String, sizeBytes: UInt64?) throws {
        if let sizeBytes { try run("truncate", ["-s", "\(sizeBytes)", path]) }
        try table("label: gpt\nstart=1MiB, size=4MiB, name=boot\nstart=5MiB, size=8MiB, name=\"old root\"\n", path)
        try put("mkfs.vfat -n OLDBOOT \"$1\" 4096", at: 1 << 20, of: path)
        try put("mkfs.ext4 -q -L precious \"$1\" 8M", at: 5 << 20, of: path)
    }

    static func table(_ script: String, _ path: String) throws {
        let command = "printf '%s' \"$1\" | sfdisk --quiet --no-reread --no-tell-kernel --wipe never \"$2\""
        try run("bash", ["-c", command, "sfdisk", script, path])
    }

    /// Puts what `command` makes of the file `$1`, which is as long as it makes it, at an offset of the disk.
    static func put(_ command: String, at offset: Int, of path: String) throws {
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "part").path
            try run("bash", ["-euc", "rm -f \"$1\"; truncate -s 4M \"$1\"; \(command)", "make", file])
            try run(
                "dd", ["if=\(file)", "of=\(path)", "bs=1M", "oflag=seek_bytes", "seek=\(offset)", "conv=notrunc", "status=none"])
        }
    }
}
