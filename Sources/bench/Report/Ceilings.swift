import FoundationEssentials

/// What may not grow unseen: `perf/ceilings.json`, each figure some percent above what was measured when it was set.
struct Ceilings: Decodable, Equatable {
    /// Of one run under callgrind, by the processor's architecture (`uname -m`): other instruction sets take other numbers.
    struct Instructions: Decodable, Equatable {
        /// With libcrypto's and libzstd's.
        var all: Double
        /// The program's own, Swift's runtime included.
        var own: Double
    }

    var allocationsPerSlot: Double
    var instructions: [String: Instructions]

    init(_ path: String) throws {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(filePath: path)))
        } catch {
            throw BenchError("\(path) does not hold ceilings: \(error)")
        }
    }
}
