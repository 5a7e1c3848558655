import ArgumentParser
import FoundationEssentials
import Glibc
import StreamDisk

/// Runs the library once, in a process of its own, so that its memory and processor time are measured alone: `bench` starts
/// itself with this command. Prints a `Measurement` as JSON.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "One run of the library; what the scenarios start.", shouldDisplay: false,
        subcommands: [RunStream.self, RunWrite.self, RunDecode.self, RunHash.self])

    static func decoded(_ output: [UInt8]) throws -> Measurement {
        try JSONDecoder().decode(Measurement.self, from: Data(output))
    }

    /// The path of this program, to start itself.
    static func invocation(_ name: String, _ arguments: [String]) -> [String] {
        [path, "run", name] + arguments
    }

    /// The link is resolved because, in another program, /proc/self/exe names that program.
    private static let path: String = {
        guard let text = unsafe realpath("/proc/self/exe", nil) else { return CommandLine.arguments[0] }
        defer { unsafe free(text) }
        // SAFETY: realpath returned a NUL-terminated string that this code owns and frees.
        return unsafe String(cString: text)
    }()
}

struct RunStream: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stream")
    @Argument var image: String
    @Option var disk: String
    @Option var engine = "automatic"
    @Option var connections: Int?
    @Option var lanes: Int?
    @Option var memoryLimit: UInt64?
    @Flag(inversion: .prefixedNo) var zeros = true
    @Option var interval = 0.02

    func run() throws {
        var sourceOptions = SourceOptions()
        if let connections { sourceOptions.connections = connections }
        var options = StreamOptions()
        guard let engine = WriteEngine(rawValue: engine) else {
            throw ValidationError("--engine: automatic, uring or pwrite")
        }
        options.writeEngine = engine
        options.lanesMax = lanes
        options.memoryLimitBytes = memoryLimit
        options.zerosByDevice = zeros
        options.progressIntervalSeconds = interval
        var timeline: [Measurement.Sample] = []
        var writeBegin = 0.0
        let begin = monotonicSeconds()
        let result = try streamImage(
            from: try makeImageSource(image, options: sourceOptions), to: .path(disk), options: options,
            onEvent: { event in
                switch event {
                case .phase(.write): writeBegin = monotonicSeconds() - begin
                case .progress(let progress): timeline.append(Measurement.Sample(progress))
                default: break
                }
            })
        var measurement = Measurement(seconds: result.elapsedSeconds, bytes: result.decodedBytes)
        measurement.stages = result.stages.map { Measurement.Stage($0) }
        measurement.timeline = timeline
        measurement.figures = [
            "writtenBytes": Double(result.writtenBytes), "zeroedBytes": Double(result.zeroedBytes),
            "fetchedBytes": Double(result.fetchedBytes),
            "ownSeconds": result.elapsedSeconds, "writeBeginSeconds": writeBegin,
        ]
        try emit(measurement)
    }
}

struct RunWrite: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "write")
    @Option var disk: String
    @Option var bytes: UInt64
    @Option var write = WriteProbe().writeBytes
    @Option var flight = WriteProbe().inFlightBytes
    @Option var setup: String?
    @Flag(inversion: .prefixedNo) var file = true

    func run() throws {
        var probe = WriteProbe()
        probe.totalBytes = bytes
        probe.writeBytes = write
        probe.inFlightBytes = flight
        if let setup {
            guard let engine = ProbeEngine(rawValue: setup) else { throw ValidationError("--setup: no engine '\(setup)'") }
            probe.engine = engine
        }
        probe.registersFile = file
        var timeline: [Measurement.Sample] = []
        let outcome = try probe.run(disk: disk) { timeline.append($0) }
        var measurement = Measurement(seconds: outcome.seconds, bytes: bytes)
        measurement.stages = outcome.stages.map { Measurement.Stage($0) }
        measurement.timeline = timeline
        measurement.figures = ["ownSeconds": outcome.seconds, "flushSeconds": outcome.flushSeconds]
        try emit(measurement)
    }
}

struct RunDecode: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "decode")
    @Argument var image: String
    @Option var lanes = 1

    func run() throws {
        var probe = DecodeProbe()
        probe.lanes = lanes
        let outcome = try probe.run(image: try makeByteSource(image, options: SourceOptions()))
        var measurement = Measurement(seconds: outcome.seconds, bytes: outcome.decodedBytes)
        measurement.stages = outcome.stages.map { Measurement.Stage($0) }.filter { $0.name != "write" }
        measurement.figures = ["ownSeconds": outcome.seconds]
        try emit(measurement)
    }
}

struct RunHash: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "hash")
    @Argument var files: [String]

    func run() throws {
        let begin = monotonicSeconds()
        let area = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { unsafe area.deallocate() }
        var bytes: UInt64 = 0
        for file in files {
            let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw BenchError("\(file) cannot be opened") }
            defer { close(descriptor) }
            var hash = SHA384()
            while case let count = unsafe read(descriptor, area.baseAddress, area.count), count > 0 {
                unsafe hash.update(UnsafeRawBufferPointer(rebasing: area[..<count]).bytes)
                bytes += UInt64(count)
            }
            _ = hash.finish()
        }
        try emit(Measurement(seconds: monotonicSeconds() - begin, bytes: bytes))
    }
}

private func emit(_ measurement: Measurement) throws {
    let data = try ReportFile.encoded(measurement)
    unsafe data.withUnsafeBytes { unsafe writeAll($0, to: 1) }
}

extension Measurement.Sample {
    init(_ progress: StreamProgress) {
        self.init(
            seconds: progress.elapsedSeconds, fetchedBytes: progress.fetchedBytes, decodedBytes: progress.decodedBytes,
            writtenBytes: progress.writtenBytes, waitingBytes: progress.waitingBytes,
            bytesInFlight: progress.bytesInFlight)
    }
}

extension Measurement.Stage {
    init(_ report: StageReport) {
        self.init(
            name: report.stage.rawValue, bytes: report.bytes, busySeconds: report.busySeconds,
            cpuSeconds: report.cpuSeconds, waitingForInputSeconds: report.waitingForInputSeconds,
            waitingForOutputSeconds: report.waitingForOutputSeconds)
    }
}
