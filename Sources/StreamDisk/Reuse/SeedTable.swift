package import CosiFormat

/// Where the content of an image's frames lies in the seeds.
///
/// It has a place for each frame that an image wants, never one for each frame that a seed has: its memory is bounded by the
/// images' indexes, however large the seeds are (``memoryBytes(frames:)``).
package struct SeedTable: Sendable {
    package struct Place: Sendable, Equatable {
        /// Into the seeds of the run.
        package let seed: Int
        /// Bytes from the seed's first.
        package let offset: UInt64

        package init(seed: Int, offset: UInt64) {
            self.seed = seed
            self.offset = offset
        }
    }

    private var places: [ContentHash: Place?] = [:]
    /// Different contents that are wanted and not found yet.
    package private(set) var missing = 0

    package init() {}

    /// What an entry takes: key and place, at the load that a dictionary keeps, while it grows.
    package static func memoryBytes(frames: Int) -> UInt64 {
        3 * UInt64(frames) * UInt64(MemoryLayout<ContentHash>.stride + MemoryLayout<Place?>.stride)
    }

    /// The frame's content is wanted. Zeros are not: they are nowhere copied from.
    package mutating func want(_ frame: ContentIndex.Frame) {
        guard !frame.isZero, places[frame.sha256] == nil else { return }
        places.updateValue(nil, forKey: frame.sha256)
        missing += 1
    }

    /// A frame of a seed has this content. The first place of a content is kept.
    package mutating func found(_ hash: ContentHash, at place: Place) {
        guard case .some(nil) = places[hash] else { return }
        places[hash] = .some(place)
        missing -= 1
    }

    /// Nil if no seed has it.
    package subscript(_ frame: ContentIndex.Frame) -> Place? { places[frame.sha256] ?? nil }
}
