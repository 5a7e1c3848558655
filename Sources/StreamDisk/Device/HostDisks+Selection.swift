/// A disk that was looked at for an image.
public struct ConsideredDisk: Sendable, Equatable {
    /// The disk.
    public let disk: DiskInfo
    /// What stands against it; empty for one that fits. Of those that fit, the smallest is taken, and of equal ones the first
    /// by name.
    public let reasons: [DiskRejection]

    /// Whether it fits, now or when another program has done with it.
    package var fits: Bool { reasons.allSatisfy(\.isPassing) }
}

/// Which disk an image goes onto when none was named.
extension HostDisks {
    /// Every disk with what stands against it, in natural order of their names. What nothing is bound to is left out.
    package static func consider(_ disks: [DiskInfo], for requirement: DiskRequirement) -> [ConsideredDisk] {
        disks.filter { !$0.isUnbound }.map {
            ConsideredDisk(disk: $0, reasons: $0.obstacles(to: requirement, isNamed: false))
        }
    }

    /// The smallest disk that fits and that nothing stands against; of equal ones the first by name.
    ///
    /// One that another program is at work on at the moment is chosen all the same: it is still the one to be expected, and to
    /// open it then fails. Throws `.noneFits` with every disk and its reason when there is none.
    package static func choose(
        among disks: [DiskInfo], for requirement: DiskRequirement
    ) throws(DiskSelectionError) -> DiskInfo {
        let considered = consider(disks, for: requirement)
        let best = considered.filter(\.fits).map(\.disk).min { left, right in
            left.sizeBytes != right.sizeBytes ? left.sizeBytes < right.sizeBytes : naturallyPrecedes(left.name, right.name)
        }
        guard let best else { throw noneFits(considered, for: requirement) }
        return best
    }

    private static func noneFits(_ considered: [ConsideredDisk], for requirement: DiskRequirement) -> DiskSelectionError {
        let reasons = considered.map { "\($0.disk.name): \($0.reasons.map(\.description).joined(separator: ", "))" }
        let need = "\(sizeText(requirement.sizeBytes)) in blocks of \(requirement.blockBytes) bytes"
        let list = reasons.isEmpty ? "this host has none" : reasons.joined(separator: "; ")
        return DiskSelectionError(.noneFits, path: nil, reason: "no disk fits the image, which needs \(need): \(list)")
    }
}
