import ArgumentParser
import StreamDisk

/// End to end through the library: source to flushed disk, with each write engine in turn.
struct StreamScenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Stream an image onto a disk again and again, with io_uring and pwrite in turn.",
        discussion: "Everything on the disk is lost. A disk in use is refused.")

    @Argument(help: "The image: a URL or a path.")
    var image: String

    @Option(help: "The disk to write: a block device, or an existing regular file.")
    var disk: String

    @Option(help: "Measured runs of each engine, after one that is not counted.")
    var runs = 5

    @Flag(help: "As JSON, with every single figure.")
    var json = false

    func validate() throws {
        guard (1...1000).contains(runs) else { throw ValidationError("--runs must be 1 to 1000.") }
    }

    func run() throws {
        let engines: [StreamOptions.WriteEngine] = [.uring, .pwrite]
        var samples: [StreamOptions.WriteEngine: Samples] = [:]
        for round in 0...runs {
            for engine in engines {
                var options = StreamOptions()
                options.writeEngine = engine
                let source = try makeSource(image, options: SourceOptions())
                let result = try streamImage(from: source, to: .path(disk), options: options)
                if round > 0 { samples[engine, default: Samples()].add(result) }
            }
        }
        let results = engines.compactMap { engine in samples[engine].map { (engine.rawValue, $0) } }
        if json {
            let rows = results.map { name, samples in "{\"engine\":\"\(name)\",\(samples.json)}" }
            print("{\"scenario\":\"stream\",\"runs\":\(runs),\"results\":[\(rows.joined(separator: ","))]}")
        } else {
            for (name, samples) in results { print("\(name): \(samples.text)") }
        }
    }
}

/// The figures of several equal runs.
struct Samples {
    private var seconds: [Double] = []
    private var decodedBytes: UInt64 = 0
    private var peakMemoryBytes: UInt64 = 0

    mutating func add(_ result: StreamResult) {
        seconds.append(result.elapsedSeconds)
        decodedBytes = result.decodedBytes
        peakMemoryBytes = max(peakMemoryBytes, result.peakMemoryBytes)
    }

    var median: Double {
        let sorted = seconds.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    var text: String {
        let rate = Double(decodedBytes) / median / 1e6
        return "median \(rounded(median)) s (\(rounded(seconds.min() ?? 0)) to \(rounded(seconds.max() ?? 0))), "
            + "\(rounded(rate)) MB/s decoded, peak memory \(shortSizeText(peakMemoryBytes))"
    }

    var json: String {
        let list = seconds.map { "\($0)" }.joined(separator: ",")
        return "\"seconds\":[\(list)],\"medianSeconds\":\(median),\"decodedBytes\":\(decodedBytes),"
            + "\"peakMemoryBytes\":\(peakMemoryBytes)"
    }

    private func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
