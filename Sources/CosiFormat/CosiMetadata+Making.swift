// Made by a producer. What is made here is as good as its parts: `parse(json)` of what it writes checks it all.

extension CosiMetadata {
    /// Metadata of version 1.2.
    package init(
        osArch: Architecture, osRelease: String, id: String?, images: [Filesystem], osPackages: [Package]?,
        bootloader: Bootloader, disk: DiskLayout, maxWindowLog: Int
    ) {
        version = Version(major: 1, minor: 2)
        self.osArch = osArch
        self.osRelease = osRelease
        self.id = id
        self.images = images
        self.osPackages = osPackages
        self.bootloader = bootloader
        self.disk = disk
        self.maxWindowLog = maxWindowLog
        regionIndexByPath = Self.indexByPath(disk.gptRegions.map(\.image))
        filesystemIndexByPath = Self.indexByPath(images.map(\.image))
    }

    private static func indexByPath(_ images: [ImageFile]) -> [[UInt8]: Int] {
        Dictionary(images.enumerated().map { ($1.pathBytes, $0) }, uniquingKeysWith: { first, _ in first })
    }
}
