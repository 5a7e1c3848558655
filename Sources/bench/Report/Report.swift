/// One scenario's outcome, with every single figure: what `--json` writes and every table and plot is made from.
struct Report: Codable, Equatable {
    static let currentVersion = 2
    /// Of this format.
    var version = currentVersion
    var scenario: String
    /// What was done, in a sentence or two, for a reader who knows nothing else.
    var title: String
    var note: String
    /// UTC, ISO 8601.
    var date: String
    var machine: Machine
    /// Everything that was chosen, by name.
    var settings: [String: String]
    /// In the order of the tables; the first is what the others are compared with.
    var variants: [VariantDescription]
    /// In the order they ran; round 0 is the warm-up and counts nowhere.
    var measurements: [Measurement]
    var comparisons: [Comparison]
    /// Runs that only served to choose a variant.
    var scans: [Measurement]?
}

/// A variant as tables name it.
struct VariantDescription: Codable, Equatable {
    var name: String
    /// How it was run.
    var text: String
}

/// One run of one variant.
struct Measurement: Codable, Equatable {
    var variant = ""
    var round = 0
    /// Wall time of what is compared.
    var seconds: Double
    /// Over which rates are reckoned.
    var bytes: UInt64
    var userSeconds: Double?
    var systemSeconds: Double?
    /// Of the largest process.
    var peakMemoryBytes: UInt64?
    var stages: [Stage]?
    var timeline: [Sample]?
    /// What else is known: bytes written, of the window, requests …
    var figures: [String: Double]?

    struct Stage: Codable, Equatable {
        var name: String
        var bytes: UInt64
        var busySeconds: Double
        var cpuSeconds: Double
        var waitingForInputSeconds: Double
        var waitingForOutputSeconds: Double
    }

    /// How far a run was at a time. Bytes since its beginning; waiting and in flight at that time.
    struct Sample: Codable, Equatable {
        var seconds: Double
        var fetchedBytes: UInt64
        var decodedBytes: UInt64
        var writtenBytes: UInt64
        var waitingBytes: Int
        var bytesInFlight: Int
    }

    /// User and system mode together; nil when it was not measured.
    var cpuSeconds: Double? {
        guard let userSeconds, let systemSeconds else { return nil }
        return userSeconds + systemSeconds
    }
    /// Million bytes a second.
    var rate: Double { seconds > 0 ? Double(bytes) / seconds / 1e6 : 0 }
}

/// One figure that comes from comparing runs of the same round, such as how many times as fast one is as another.
struct Comparison: Codable, Equatable {
    var name: String
    /// Behind the number: `×`, `MiB`.
    var unit: String
    /// One a round.
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
    /// The counted runs of a variant, in order.
    func counted(_ variant: String) -> [Measurement] { measurements.filter { $0.variant == variant && $0.round > 0 } }

    /// The counted run nearest to the variant's median time: the one to show in detail.
    func typical(_ variant: String) -> Measurement? {
        let measurements = counted(variant)
        let median = Statistics(measurements.map(\.seconds)).median
        return measurements.min { abs($0.seconds - median) < abs($1.seconds - median) }
    }

    /// For each counted round that has measurements of all `names`, what `value` makes of them.
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
