/// A disk that was considered for an image.
public struct ConsideredDisk: Sendable, Equatable {
    /// The disk.
    public let disk: DiskInfo
    /// The reasons not to use it; empty if it fits. Of the disks that fit, the smallest is selected; of equal ones, the first
    /// by name.
    public let reasons: [DiskRejection]

    /// Whether it fits, now or once another program has released it.
    package var fits: Bool { reasons.allSatisfy(\.isPassing) }
}

/// Selects a disk for an image when the user named none.
extension HostDisks {
    /// Every disk with the reasons not to use it, in natural order of names. Devices without a backing file are left out.
    package static func consider(_ disks: [DiskInfo], for requirement: DiskRequirement) -> [ConsideredDisk] {
        disks.filter { !$0.isUnbound }.map {
            ConsideredDisk(disk: $0, reasons: $0.obstacles(to: requirement, isNamed: false))
        }
    }

    /// The smallest disk that fits and is not disqualified; of equal ones the first by name.
    ///
    /// A disk that another program is using at the moment can be selected, too: it is the one the user expects. Opening it then
    /// fails. If no disk fits, throws `.noneFits` with every disk and its reasons.
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
