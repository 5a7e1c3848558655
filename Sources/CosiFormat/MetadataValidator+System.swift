/// What the image says about its system. Nothing is written from it.
extension MetadataValidator {
    mutating func packages(
        _ raw: [MetadataJSON.Package]?, on architecture: CosiMetadata.Architecture
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
        return raw.map {
            CosiMetadata.Package(name: $0.name, version: $0.version, release: $0.release, arch: $0.arch)
        }
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
        let entries = (raw.systemdBoot?.entries ?? []).map {
            CosiMetadata.BootEntry(type: $0.type, path: $0.path, cmdline: $0.cmdline, kernel: $0.kernel)
        }
        return CosiMetadata.Bootloader(type: raw.type, entries: entries)
    }
}
