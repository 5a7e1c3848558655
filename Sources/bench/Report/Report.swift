/// One scenario's outcome, with every single figure: what `--json` writes and every table and plot is made from.
struct Report: Codable, Equatable {
    /// Of this format.
    var version = 1
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
    var contestants: [Contestant]
    /// In the order they ran; round 0 is the warm-up and counts nowhere.
    var runs: [Run]
    var comparisons: [Comparison]
    /// Runs that only served to choose a contestant.
    var scans: [Run]?

    struct Contestant: Codable, Equatable {
        var name: String
        /// How it was run.
        var text: String
    }
}

/// One run of one contestant.
struct Run: Codable, Equatable {
    var contestant = ""
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
    var timeline: [Moment]?
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

    /// How far a run was at a time. Bytes since its beginning; waiting and in flight at that moment.
    struct Moment: Codable, Equatable {
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
    /// The counted runs of a contestant, in order.
    func counted(_ contestant: String) -> [Run] { runs.filter { $0.contestant == contestant && $0.round > 0 } }

    /// The counted run nearest to the contestant's median time: the one to show in detail.
    func typical(_ contestant: String) -> Run? {
        let runs = counted(contestant)
        let median = Statistics(runs.map(\.seconds)).median
        return runs.min { abs($0.seconds - median) < abs($1.seconds - median) }
    }

    /// For each counted round that has runs of all `names`, what `value` makes of them.
    static func perRound(_ runs: [Run], _ names: [String], _ value: ([Run]) -> Double?) -> [Double] {
        let rounds = Set(runs.map(\.round)).filter { $0 > 0 }.sorted()
        return rounds.compactMap { round in
            let found = names.compactMap { name in runs.first { $0.round == round && $0.contestant == name } }
            return found.count == names.count ? value(found) : nil
        }
    }

    /// How many times as fast `one` is as `other`, by time.
    static func speed(_ runs: [Run], _ one: String, over other: String, target: Comparison.Target?) -> Comparison {
        Comparison(
            name: "\(one) : \(other)", unit: "×",
            values: perRound(runs, [one, other]) { $0[0].seconds > 0 ? $0[1].seconds / $0[0].seconds : nil },
            target: target)
    }
}
