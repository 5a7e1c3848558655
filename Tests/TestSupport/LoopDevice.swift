import Foundation
import Glibc
import Testing

/// A loop device over a sparse file in the system's temporary folder, for one test.
///
/// Needs root. Made by losetup(8); `remove` detaches it and deletes the file, also where the test failed.
final class LoopDevice {
    /// Such as /dev/loop3.
    let path: String
    let backingFile: URL

    /// Whether the tests that need one run: as root, and in CI always, where a missing device must fail and not skip.
    static let isAvailable =
        (geteuid() == 0 && FileManager.default.fileExists(atPath: "/dev/loop-control"))
        || ProcessInfo.processInfo.environment["CI"] == "true"
    static let needs: Comment = "loop devices need root: run the tests as root to include this one"

    /// - Parameter partitions: whether the kernel may have partitions on it.
    init(sizeBytes: UInt64, sectorSize: Int = 512, readOnly: Bool = false, partitions: Bool = false) throws {
        backingFile = FileManager.default.temporaryDirectory.appending(path: "stream-disk-loop-\(UUID().uuidString)")
        try Data().write(to: backingFile)
        do {
            let file = try FileHandle(forWritingTo: backingFile)
            try file.truncate(atOffset: sizeBytes)
            try file.close()
            var arguments = ["--find", "--show", "--sector-size", "\(sectorSize)"]
            if readOnly { arguments.append("--read-only") }
            if partitions { arguments.append("--partscan") }
            path = try run("losetup", arguments + [backingFile.path]).trimmingCharacters(in: .whitespacesAndNewlines)
        } catch {
            try? FileManager.default.removeItem(at: backingFile)
            throw error
        }
    }

    var name: String { String(path.dropFirst("/dev/".count)) }
    /// As in /sys/dev/block.
    var number: String {
        (try? String(contentsOfFile: "/sys/class/block/\(name)/dev", encoding: .utf8))?
            .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    }

    func remove() {
        _ = try? run("losetup", ["--detach", path])
        try? FileManager.default.removeItem(at: backingFile)
    }

    static func with<Value>(
        sizeBytes: UInt64, sectorSize: Int = 512, readOnly: Bool = false, partitions: Bool = false,
        _ body: (LoopDevice) throws -> Value
    ) throws -> Value {
        let device = try LoopDevice(
            sizeBytes: sizeBytes, sectorSize: sectorSize, readOnly: readOnly, partitions: partitions)
        defer { device.remove() }
        return try body(device)
    }
}

/// A folder in the system's temporary folder, for one test.
func withTemporaryFolder<Value>(_ body: (URL) throws -> Value) throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appending(path: "stream-disk-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.resolvingSymlinksInPath())
}

/// Runs a tool found in PATH or the system's sbin folders, and returns its standard output; throws what it said when it
/// failed.
@discardableResult
func run(_ tool: String, _ arguments: [String]) throws -> String {
    struct Failed: Error, CustomStringConvertible { let description: String }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [tool] + arguments
    var environment = ProcessInfo.processInfo.environment
    environment["PATH"] = (environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    environment["LC_ALL"] = "C"
    process.environment = environment
    let (output, errors) = (Pipe(), FileManager.default.temporaryDirectory.appending(path: UUID().uuidString))
    try Data().write(to: errors)
    defer { try? FileManager.default.removeItem(at: errors) }
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: errors)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        let said = (try? String(contentsOf: errors, encoding: .utf8)) ?? ""
        throw Failed(description: "\(tool) \(arguments.joined(separator: " ")): \(said)")
    }
    return text
}
