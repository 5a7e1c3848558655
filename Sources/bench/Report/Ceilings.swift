import FoundationEssentials

/// Figures that must not grow unnoticed: `perf/ceilings.json`. Each is some percent above what was measured when it was set.
struct Ceilings: Decodable, Equatable {
    /// Instructions of one run under callgrind, by architecture (`uname -m`): other instruction sets need other numbers.
    struct Instructions: Decodable, Equatable {
        /// Including libcrypto's and libzstd's.
        var all: Double
        /// The program's own, including Swift's runtime.
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
