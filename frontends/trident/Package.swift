// swift-tools-version: 6.3
import PackageDescription

/// As in the package above: memory-unsafe code must be marked where it stands, and a warning fails the build.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// A package of its own, so that whoever builds stream-disk alone neither fetches nor builds gRPC.
let package = Package(
    name: "stream-disk-trident",
    products: [
        .executable(name: "stream-diskd", targets: ["stream-diskd"]),
        // Called as Trident's client is. Its own name keeps it out of that one's way.
        .executable(name: "trident-client", targets: ["trident-client"]),
    ],
    dependencies: [
        .package(name: "stream-disk", path: "../.."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    ],
    targets: [
        // Only what protoc makes of Protos (./generate), so without the settings of code that people write.
        .target(
            name: "TridentProtocol",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .executableTarget(
            name: "stream-diskd",
            dependencies: [
                "TridentProtocol",
                .product(name: "StreamDisk", package: "stream-disk"),
                .product(name: "CosiFormat", package: "stream-disk"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "trident-client",
            dependencies: [
                "TridentProtocol",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
            ],
            swiftSettings: strict),
        // Only what a client in another language cannot show; that one is in Tests/run.
        .testTarget(name: "StreamDiskdTests", dependencies: ["stream-diskd", "TridentProtocol"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
