/// A disk that was considered for an image.
package struct ConsideredDisk: Sendable, Equatable {
    /// The disk.
    package let disk: DiskInfo
    /// The reasons not to use it; empty if it fits. Of the disks that fit, the smallest is selected; of equal ones, the first
    /// by name.
    package let reasons: [DiskRejection]

    /// Whether it fits, now or once another program has released it.
    package var fits: Bool { reasons.allSatisfy(\.isPassing) }
}

/// Selects a disk for an image when the user named none.
extension HostDisks {
    /// Every disk with the reasons against it, in natural order of names. Leaves out devices that nothing is bound to.
    package static func consider(
        _ disks: [DiskInfo], for requirement: DiskRequirement, matching hints: [DiskHint] = []
    ) -> [ConsideredDisk] {
        disks.filter { !$0.isUnbound }.map {
            ConsideredDisk(disk: $0, reasons: $0.selected(by: hints).obstacles(to: requirement, isNamed: false))
        }
    }

    /// The smallest disk that fits and is not disqualified; of equal ones the first by name.
    ///
    /// A disk that another program is using at the moment can be selected, too: it is the one the user expects. Opening it then
    /// fails. If no disk fits, throws `.noneFits` with every disk and its reasons.
    package static func choose(
        among disks: [DiskInfo], for requirement: DiskRequirement, matching hints: [DiskHint] = []
    ) throws(DiskSelectionError) -> DiskInfo {
        let considered = consider(disks, for: requirement, matching: hints)
        let best = considered.filter(\.fits).map(\.disk).min { left, right in
            left.sizeBytes != right.sizeBytes ? left.sizeBytes < right.sizeBytes : naturallyPrecedes(left.name, right.name)
        }
        guard let best else { throw noneFits(considered, for: requirement, hints) }
        return best
    }

    private static func noneFits(
        _ considered: [ConsideredDisk], for requirement: DiskRequirement, _ hints: [DiskHint]
    ) -> DiskSelectionError {
        let reasons = considered.map { "\($0.disk.name): \($0.reasons.map(\.description).joined(separator: ", "))" }
        let need = "\(sizeText(requirement.sizeBytes)) in blocks of \(requirement.blockBytes) bytes"
        let list = reasons.isEmpty ? "this host has none" : reasons.joined(separator: "; ")
        if !hints.isEmpty, considered.allSatisfy({ $0.reasons.contains(where: \.isSelection) }) {
            return DiskSelectionError(.noneMatches, path: nil, reason: "no disk of this host is \(hints.text): \(list)")
        }
        let asked = hints.isEmpty ? "" : " that is \(hints.text)"
        return DiskSelectionError(
            .noneFits, path: nil, reason: "no disk\(asked) fits the image, which needs \(need): \(list)")
    }
}
