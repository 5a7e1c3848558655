/// What code that reads and writes a disk knows of it: path, size and block size. Everything else is behind the `DiskQueue`.
///
/// A run may have several targets. They share one address space, which all code but `RequestTable` uses: each target begins at
/// its own address, with a gap before it, so that ranges of two targets are never adjacent.
package struct DiskGeometry: Sendable {
    struct Target: Sendable {
        /// The path as the caller gave it.
        let path: String
        let addresses: Range<UInt64>
    }

    private static let gapBytes: UInt64 = 1 << 20

    /// At least one, in order of addresses, which is the order of the queue's descriptors.
    let targets: [Target]
    /// The offset and length of every request are multiples of it.
    let blockBytes: Int

    /// A single disk, whose addresses are its byte offsets.
    package init(path: String, sizeBytes: UInt64, blockBytes: Int) {
        self.init(targets: [(path, sizeBytes)], blockBytes: blockBytes)
    }

    /// - Parameter targets: at least one; `sizeBytes` is how many bytes may be read and written.
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

    /// The index of the target that an address belongs to.
    func index(at address: UInt64) -> Int { targets.lastIndex { $0.addresses.lowerBound <= address } ?? 0 }

    /// The target of a range of addresses, and the byte range in it. The range must not cross targets.
    func locate(_ addresses: Range<UInt64>) -> (path: String, range: Range<UInt64>) {
        let target = targets[index(at: addresses.lowerBound)]
        let start = target.addresses.lowerBound
        return (target.path, addresses.lowerBound - start..<addresses.upperBound - start)
    }

    /// The name of an address's target in messages.
    func name(at address: UInt64) -> String { targets.count == 1 ? "the disk" : targets[index(at: address)].path }
}
