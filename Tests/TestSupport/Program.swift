import Foundation
import Glibc
import Testing

/// The built command line, run as a process of its own.
enum Program {
    /// It stands beside the test bundle.
    static let path = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "stream-disk").path

    /// Runs a program on a kernel that refuses it things: Tests/Tools/restricted.
    static let restricted = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Tools/restricted").path

    /// Checks what it says for programs against docs/events.schema.json: Tests/Tools/check-json.
    static let checkJSON = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Tools/check-json").path

    /// Runs it to its end.
    ///
    /// - Parameters:
    ///   - events: adds `--events 3` and collects what comes.
    ///   - through: a program and its arguments that run it, such as setpriv.
    static func run(
        _ arguments: [String], events: Bool = false, environment: [String: String] = [:], through: [String] = []
    ) throws -> Ended {
        try Running(arguments, events: events, environment: environment, through: through).wait()
    }
}

/// How a run ended and what it said.
struct Ended {
    let code: Int32
    let output: String
    let errors: String
    /// One object a line.
    let events: [[String: Any]]
    /// The same as they came.
    let eventLines: String
    let seconds: Double

    var errorLines: [String] { errors.split(separator: "\n").map(String.init) }
    var eventNames: [String] { events.map { $0["event"] as? String ?? "" } }
    var phases: [String] { events.filter { $0["event"] as? String == "phase" }.map { $0["phase"] as? String ?? "" } }
}

/// A run under way. It is killed when the last reference goes.
final class Running {
    struct TooLong: Error { let waitedFor: String, errors: String }

    let process = Process()
    private let folder: TemporaryFolder
    private let begin = ContinuousClock.now

    init(
        _ arguments: [String], events: Bool = false, environment: [String: String] = [:], through: [String] = [],
        terminal: FileHandle? = nil
    ) throws {
        folder = try TemporaryFolder()
        let (output, errors, log) = (try file("output"), try file("errors"), try file("events"))
        // Process passes on no descriptor above 2: the shell opens it, and becomes the program.
        let script = events ? "log=$1; shift; exec \"$@\" 3>\"$log\"" : "shift; exec \"$@\""
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments =
            ["-c", script, "sh", log] + through + [Program.path] + arguments + (events ? ["--events", "3"] : [])
        var all = ProcessInfo.processInfo.environment
        for name in all.keys where name.lowercased().hasSuffix("_proxy") { all[name] = nil }
        process.environment = all.merging(environment) { _, new in new }
        process.standardInput = terminal ?? FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
        process.standardError = try terminal ?? FileHandle(forWritingTo: URL(filePath: errors))
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    private func file(_ name: String) throws -> String { try folder.write(name, []) }

    private func text(_ name: String) -> String {
        (try? String(contentsOfFile: folder.path + "/" + name, encoding: .utf8)) ?? ""
    }

    var errors: String { text("errors") }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits until `condition` holds.
    func wait(for what: String, seconds: Double = 30, _ condition: () throws -> Bool) throws {
        let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
        while try !condition() {
            guard ContinuousClock.now < deadline else { throw TooLong(waitedFor: what, errors: errors) }
            usleep(20_000)
        }
    }

    /// Waits until bytes of the image are decoded.
    func waitForBytes() throws {
        try wait(for: "the first bytes") {
            try events().contains { $0["decodedBytes"] as? Int ?? 0 > 0 }
        }
    }

    /// Waits until it has told of this phase, or has ended; looks often, to be there when the phase begins.
    func waitForPhase(_ name: String) throws {
        let told = "\"phase\":\"\(name)\""
        let deadline = ContinuousClock.now.advanced(by: .seconds(30))
        while process.isRunning, !text("events").contains(told) {
            guard ContinuousClock.now < deadline else { throw TooLong(waitedFor: name, errors: errors) }
            usleep(100)
        }
    }

    /// The phases entered so far.
    func phases() throws -> [String] { try events().compactMap { $0["phase"] as? String } }

    /// Waits for its end, and tells how it ended.
    func wait(seconds: Double = 60) throws -> Ended {
        try wait(for: "the end", seconds: seconds) { !process.isRunning }
        process.waitUntilExit()
        let spent = begin.duration(to: .now)
        return Ended(
            code: process.terminationReason == .exit ? process.terminationStatus : 1000 + process.terminationStatus,
            output: text("output"), errors: errors, events: try events(isEnded: true), eventLines: text("events"),
            seconds: Double(spent.components.seconds) + Double(spent.components.attoseconds) / 1e18)
    }

    /// What was told so far; the last line may be under way.
    private func events(isEnded: Bool = false) throws -> [[String: Any]] {
        let log = text("events")
        var lines = log.split(separator: "\n")
        if isEnded { #expect(log.isEmpty || log.hasSuffix("\n")) } else if !log.hasSuffix("\n") { lines = lines.dropLast() }
        return try lines.map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
        }
    }
}

/// A failure: this exit code, nothing on standard output, and on standard error one line from the program that says all of
/// this. Progress may stand before it, unless the run was to be quiet.
func expectFailure(
    _ ended: Ended, _ code: Int32, says parts: [String], isQuiet: Bool = true,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(ended.code == code, "\(ended.errors)", sourceLocation: sourceLocation)
    #expect(ended.output == "", sourceLocation: sourceLocation)
    let lines = ended.errorLines.filter { $0.hasPrefix("stream-disk: ") }
    #expect(lines.count == 1, "\(ended.errors)", sourceLocation: sourceLocation)
    if isQuiet { #expect(ended.errorLines.count == 1, "\(ended.errors)", sourceLocation: sourceLocation) }
    #expect(ended.errorLines.last == lines.last, "it is the last word: \(ended.errors)", sourceLocation: sourceLocation)
    for part in parts {
        #expect(lines.last?.contains(part) == true, "'\(part)' in: \(ended.errors)", sourceLocation: sourceLocation)
    }
}
