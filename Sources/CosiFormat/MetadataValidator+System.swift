/// What the image says about its system. Nothing is written from it.
extension MetadataValidator {
    mutating func packages(
        _ raw: [CosiMetadata.Package]?, on architecture: CosiMetadata.Architecture
    ) -> [CosiMetadata.Package]? {
        guard let raw else {
            warn("osPackages", "is missing")
            return nil
        }
        let usual: Set<String> =
            switch architecture {
            case .x86_64: ["x86_64", "amd64", "i686", "i386", "noarch", "all", "(none)"]
            case .arm64: ["aarch64", "arm64", "noarch", "all", "(none)"]
            }
        var oddCount = 0
        var firstOdd: Int?
        for (index, package) in raw.enumerated() where !usual.contains(package.arch.lowercased()) {
            oddCount += 1
            if firstOdd == nil { firstOdd = index }
        }
        if let firstOdd {
            warn(
                "osPackages[\(firstOdd)].arch",
                "is \(quoted(raw[firstOdd].arch)), odd for \(architecture) (\(oddCount) such packages)")
        }
        return raw
    }

    mutating func bootloader(_ raw: MetadataJSON.Bootloader) throws(FormatError) -> CosiMetadata.Bootloader {
        switch raw.type {
        case "systemd-boot":
            guard raw.systemdBoot != nil else {
                throw error("bootloader.systemdBoot", "is missing, and bootloader.type is 'systemd-boot'")
            }
        case "grub":
            if raw.systemdBoot != nil { warn("bootloader.systemdBoot", "is there although bootloader.type is 'grub'") }
        // Image Customizer's value for no boot loader.
        case "": break
        default:
            warn("bootloader.type", "is \(quoted(raw.type)), must be 'grub' or 'systemd-boot'")
        }
        return CosiMetadata.Bootloader(type: raw.type, entries: raw.systemdBoot?.entries ?? [])
    }
}
