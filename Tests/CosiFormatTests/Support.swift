import Foundation
import Testing

/// Runs `body` with a new directory, which is gone afterwards.
func withTemporaryDirectory<T>(_ body: (URL) throws -> T) throws -> T {
    let directory = FileManager.default.temporaryDirectory
        .appendingPathComponent("cosi-format-tests-" + UUID().uuidString, isDirectory: true)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try body(directory)
}

struct ToolFailed: Error, CustomStringConvertible {
    let description: String
}

/// Runs a program of the system and returns its exit status and what it printed on both outputs.
func status(
    of tool: String, _ arguments: [String], in directory: URL? = nil
) throws -> (code: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [tool] + arguments
    process.currentDirectoryURL = directory
    process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}

/// As ``status(of:_:in:)``; a non-zero status is an error.
@discardableResult
func run(_ tool: String, _ arguments: [String], in directory: URL? = nil) throws -> String {
    let (code, output) = try status(of: tool, arguments, in: directory)
    guard code == 0 else { throw ToolFailed(description: "\(tool) \(arguments) exited \(code): \(output)") }
    return output
}

/// Runs a Python program (standard library only) in `directory`.
@discardableResult
func python(_ program: String, in directory: URL) throws -> String {
    try run("python3", ["-c", program], in: directory)
}

extension URL {
    func bytes() throws -> [UInt8] { [UInt8](try Data(contentsOf: self)) }
    func write(_ bytes: [UInt8]) throws { try Data(bytes).write(to: self) }

    /// Up to `count` bytes at `offset`, fewer at the end of the file.
    func bytes(at offset: UInt64, count: Int) throws -> [UInt8] {
        let handle = try FileHandle(forReadingFrom: self)
        defer { try? handle.close() }
        try handle.seek(toOffset: offset)
        return [UInt8](try handle.read(upToCount: count) ?? Data())
    }

    func overwrite(_ bytes: [UInt8], at offset: UInt64) throws {
        let handle = try FileHandle(forWritingTo: self)
        defer { try? handle.close() }
        try handle.seek(toOffset: offset)
        try handle.write(contentsOf: Data(bytes))
    }
}

/// A sparse file of this size.
func makeSparseFile(_ file: URL, sizeBytes: UInt64) throws {
    try run("truncate", ["-s", "\(sizeBytes)", file.path])
}

/// SplitMix64: the same seed gives the same bytes everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// CRC-32 bit by bit, so that the library's table is not its own judge.
func slowCRC32(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
}

extension [UInt8] {
    /// Overwrites with a little-endian integer.
    mutating func put(_ value: some FixedWidthInteger, at offset: Int) {
        for index in 0..<(type(of: value).bitWidth / 8) {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }
}

/// The first offset at which two byte arrays differ, nil when they are equal. In an `#expect` it keeps a failure's
/// message short, where `==` would print every byte.
func firstDifference(_ one: [UInt8], _ other: [UInt8]) -> Int? {
    zip(one, other).enumerated().first { $0.1.0 != $0.1.1 }?.offset
        ?? (one.count == other.count ? nil : min(one.count, other.count))
}
