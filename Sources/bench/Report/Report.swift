/// The result of one scenario with every single figure: `--json` writes it, and every table and plot is made from it.
struct Report: Codable, Equatable {
    static let currentVersion = 2
    /// The version of this format.
    var version = currentVersion
    var scenario: String
    /// What was done, in a sentence or two that stand alone.
    var title: String
    var note: String
    /// UTC, ISO 8601.
    var date: String
    var machine: Machine
    /// All options of the scenario, by name.
    var settings: [String: String]
    /// In the order of the tables; the others are compared with the first.
    var variants: [VariantDescription]
    /// In the order they ran; round 0 is the warm-up and is not counted.
    var measurements: [Measurement]
    var comparisons: [Comparison]
    /// Runs that only served to choose a variant.
    var scans: [Measurement]?
}

/// A variant as the tables name it.
struct VariantDescription: Codable, Equatable {
    var name: String
    /// How it was run.
    var text: String
}

/// One run of one variant.
struct Measurement: Codable, Equatable {
    var variant = ""
    var round = 0
    /// Wall time of the part that is compared.
    var seconds: Double
    /// The bytes that rates are computed from.
    var bytes: UInt64
    var userSeconds: Double?
    var systemSeconds: Double?
    /// The peak of the largest process.
    var peakMemoryBytes: UInt64?
    var stages: [Stage]?
    var timeline: [Sample]?
    /// Further figures: bytes written, window size, requests …
    var figures: [String: Double]?

    struct Stage: Codable, Equatable {
        var name: String
        var bytes: UInt64
        var busySeconds: Double
        var cpuSeconds: Double
        var waitingForInputSeconds: Double
        var waitingForOutputSeconds: Double
    }

    /// The state of a run at one time. Bytes since its start; waiting and in flight at that time.
    struct Sample: Codable, Equatable {
        var seconds: Double
        var fetchedBytes: UInt64
        var decodedBytes: UInt64
        var writtenBytes: UInt64
        var waitingBytes: Int
        var bytesInFlight: Int
    }

    /// User and system time together; nil if it was not measured.
    var cpuSeconds: Double? {
        guard let userSeconds, let systemSeconds else { return nil }
        return userSeconds + systemSeconds
    }
    /// Million bytes per second.
    var rate: Double { seconds > 0 ? Double(bytes) / seconds / 1e6 : 0 }
}

/// A figure from comparing runs of the same round, such as how many times as fast one is as another.
struct Comparison: Codable, Equatable {
    var name: String
    /// The unit: `×`, `MiB`.
    var unit: String
    /// One for each round.
    var values: [Double]
    var target: Target?

    struct Target: Codable, Equatable {
        var atLeast: Double?
        var atMost: Double?

        func isMet(by value: Double) -> Bool { value >= (atLeast ?? -.infinity) && value <= (atMost ?? .infinity) }
        var text: String {
            [atLeast.map { "≥ \(shortNumber($0))" }, atMost.map { "≤ \(shortNumber($0))" }].compactMap(\.self)
                .joined(separator: ", ")
        }
    }

    var median: Double { Statistics(values).median }
    var isMet: Bool? { target.map { $0.isMet(by: median) } }
}

extension Report {
    /// The counted runs of a variant, in the order they ran.
    func counted(_ variant: String) -> [Measurement] { measurements.filter { $0.variant == variant && $0.round > 0 } }

    /// The counted run closest to the variant's median time: the one shown in detail.
    func typical(_ variant: String) -> Measurement? {
        let measurements = counted(variant)
        let median = Statistics(measurements.map(\.seconds)).median
        return measurements.min { abs($0.seconds - median) < abs($1.seconds - median) }
    }

    /// `value` for each counted round that has measurements of all `names`.
    static func perRound(
        _ measurements: [Measurement], _ names: [String], _ value: ([Measurement]) -> Double?
    ) -> [Double] {
        let rounds = Set(measurements.map(\.round)).filter { $0 > 0 }.sorted()
        return rounds.compactMap { round in
            let found = names.compactMap { name in
                measurements.first { $0.round == round && $0.variant == name }
            }
            return found.count == names.count ? value(found) : nil
        }
    }

    /// How many times as fast `one` is as `other`, by time.
    static func speed(
        _ measurements: [Measurement], _ one: String, over other: String, target: Comparison.Target?
    ) -> Comparison {
        Comparison(
            name: "\(one) : \(other)", unit: "×",
            values: perRound(measurements, [one, other]) { $0[0].seconds > 0 ? $0[1].seconds / $0[0].seconds : nil },
            target: target)
    }
}
