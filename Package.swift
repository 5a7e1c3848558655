// swift-tools-version: 6.3
import PackageDescription

/// Every Swift target: memory-unsafe code must be marked where it stands, and a warning fails the build.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The library for C carries Swift's runtime, shows its own names only, and stays when it is closed: the runtime cannot be unloaded.
let sharedLibrary: [LinkerSetting] = [
    .unsafeFlags([
        // gold would list names of the runtime in the dynamic table, local as they are.
        "-static-stdlib", "-use-ld=lld", "-l_FoundationCollections", "-l_FoundationCShims",
        "-Xlinker", "-z", "-Xlinker", "nodelete", "-Xlinker", "-soname", "-Xlinker", "libstreamdisk.so.0",
        "-Xlinker", "--version-script=\(Context.packageDirectory)/Sources/StreamDiskC/exports.map",
    ]),
    // Nothing may be left undefined; but a sanitizer's runtime comes with the program (make tsan).
    .unsafeFlags(Context.environment["SANITIZER"] == nil ? ["-Xlinker", "-z", "-Xlinker", "defs"] : []),
]

let package = Package(
    name: "stream-disk",
    products: [
        .executable(name: "stream-disk", targets: ["stream-disk"]),
        .executable(name: "bench", targets: ["bench"]),
        .library(name: "StreamDisk", targets: ["StreamDisk"]),
        .library(name: "CosiFormat", targets: ["CosiFormat"]),
        .library(name: "streamdisk", type: .dynamic, targets: ["StreamDiskC"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        // C only binds: headers and typed inlines, no logic.
        .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),
        .target(name: "CCurl", linkerSettings: [.linkedLibrary("curl")]),
        .target(name: "CLinux"),
        .target(name: "CArguments"),
        .target(name: "CStreamDisk"),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "CBlkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),

        // The format: bytes in, values out.
        .target(name: "CosiFormat", swiftSettings: strict),

        // The library.
        .target(
            name: "StreamDisk",
            dependencies: ["CUring", "CCurl", "CLinux", "CZstd", "CCrypto", "CXXHash", "CBlkid", "CosiFormat"],
            swiftSettings: strict),

        // The producer: from a disk to an image.
        .target(
            name: "CosiPack", dependencies: ["StreamDisk", "CosiFormat", "CLinux", "CZstd", "CCrypto", "CBlkid"],
            swiftSettings: strict),

        // Its callers.
        .target(
            name: "StreamDiskC", dependencies: ["StreamDisk", "CStreamDisk"],
            exclude: ["exports.map", "symbols", "streamdisk.pc.in"], swiftSettings: strict, linkerSettings: sharedLibrary),
        .executableTarget(
            name: "stream-disk",
            dependencies: [
                "StreamDisk", "CosiFormat", "CosiPack", "CArguments", "CLinux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "bench",
            dependencies: [
                "StreamDisk", "CosiFormat", "CLinux", "CUring",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        .testTarget(name: "CosiFormatTests", dependencies: ["CosiFormat"], swiftSettings: strict),
        // What the tests share: servers, disks, images by standard tools, the program's runs. It knows nothing of the library.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(
            name: "StreamDiskTests", dependencies: ["StreamDisk", "CosiFormat", "CLinux", "TestSupport"],
            exclude: ["Simulator/README.md"],
            swiftSettings: strict),
        .testTarget(
            name: "CosiPackTests", dependencies: ["CosiPack", "StreamDisk", "CosiFormat", "TestSupport", "stream-disk"],
            swiftSettings: strict),
        // A caller as in another package: it sees what is public, and no more.
        .testTarget(
            name: "FrontEndTests", dependencies: ["StreamDisk", "TestSupport"], packageAccess: false, swiftSettings: strict),
        // Runs the program itself, which the dependency builds.
        .testTarget(
            name: "ProgramTests", dependencies: ["StreamDisk", "CosiFormat", "TestSupport", "stream-disk"],
            swiftSettings: strict),
        // Rules of the tree itself.
        .testTarget(name: "TidyTests", swiftSettings: strict),
        .testTarget(name: "BenchTests", dependencies: ["bench"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
