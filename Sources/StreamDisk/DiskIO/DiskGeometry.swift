/// What is known of a disk by those who only read and write it; the rest stays behind the `DiskQueue`.
///
/// A run may have several targets. They share one space of addresses, in which everybody but `RequestTable` counts: each target
/// begins at an address of its own, with a gap before it, so that what belongs to two of them never touches.
package struct DiskGeometry: Sendable {
    struct Target: Sendable {
        /// As it was asked for.
        let path: String
        let addresses: Range<UInt64>
    }

    private static let gapBytes: UInt64 = 1 << 20

    /// At least one, by their addresses; their order is that of the queue's descriptors.
    let targets: [Target]
    /// Offsets and lengths of every request are multiples of it.
    let blockBytes: Int

    /// One disk: its addresses are its bytes.
    package init(path: String, sizeBytes: UInt64, blockBytes: Int) {
        self.init(targets: [(path, sizeBytes)], blockBytes: blockBytes)
    }

    /// - Parameter targets: with how many bytes of each may be read and written; at least one.
    init(targets: [(path: String, sizeBytes: UInt64)], blockBytes: Int) {
        precondition(!targets.isEmpty && Self.gapBytes % UInt64(blockBytes) == 0)
        var placed: [Target] = []
        var start: UInt64 = 0
        for (path, sizeBytes) in targets {
            placed.append(Target(path: path, addresses: start..<start + sizeBytes))
            if placed.count < targets.count { start = (start + sizeBytes) / Self.gapBytes * Self.gapBytes + 2 * Self.gapBytes }
        }
        self.targets = placed
        self.blockBytes = blockBytes
    }

    /// Of the target that an address belongs to.
    func index(at address: UInt64) -> Int { targets.lastIndex { $0.addresses.lowerBound <= address } ?? 0 }

    /// Where a range of addresses within one target lies there.
    func locate(_ addresses: Range<UInt64>) -> (path: String, range: Range<UInt64>) {
        let target = targets[index(at: addresses.lowerBound)]
        let start = target.addresses.lowerBound
        return (target.path, addresses.lowerBound - start..<addresses.upperBound - start)
    }

    /// What messages call the target of an address.
    func name(at address: UInt64) -> String { targets.count == 1 ? "the disk" : targets[index(at: address)].path }
}
