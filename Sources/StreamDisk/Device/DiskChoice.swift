/// Which disk an image goes onto when none was named.
extension HostDisks {
    /// The smallest disk that fits and that nothing stands against; of equal ones the first by name.
    ///
    /// Throws `.unusable` with every disk and its reason when there is none.
    public static func choose(
        among disks: [DiskInfo], for requirement: DiskRequirement
    ) throws(DiskError) -> DiskInfo {
        guard let disk = fitting(among: disks, for: requirement).first else {
            throw noneFits(among: disks, for: requirement)
        }
        return disk
    }

    /// All that fit and that nothing stands against, best first.
    static func fitting(among disks: [DiskInfo], for requirement: DiskRequirement) -> [DiskInfo] {
        disks.filter { $0.obstacles(to: requirement, isNamed: false).isEmpty }
            .sorted { left, right in
                left.sizeBytes != right.sizeBytes
                    ? left.sizeBytes < right.sizeBytes : naturallyPrecedes(left.name, right.name)
            }
    }

    /// - Parameter refused: why a disk that seemed to fit did not open, by its name.
    static func noneFits(
        among disks: [DiskInfo], for requirement: DiskRequirement, refused: [String: String] = [:]
    ) -> DiskError {
        var reasons: [String] = []
        for disk in disks {
            if disk.isUnbound { continue }
            let why = disk.obstacles(to: requirement, isNamed: false).map(\.description)
            reasons.append("\(disk.name): \(refused[disk.name] ?? why.joined(separator: ", "))")
        }
        let need = "\(sizeText(requirement.sizeBytes)) in blocks of \(requirement.logicalBlockSize) bytes"
        let list = reasons.isEmpty ? "this host has none" : reasons.joined(separator: "; ")
        return DiskError(.unusable, path: nil, reason: "no disk fits the image, which needs \(need): \(list)")
    }
}
