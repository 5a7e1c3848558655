import CosiFormat

/// The manifest of an image in a registry, or an index of manifests (image spec 1.1; Docker's schema 2 has the same form).
enum RegistryManifest: Equatable {
    case image(layers: [Descriptor])
    case index([Entry])

    struct Descriptor: Decodable, Equatable {
        let digest: String
        let size: UInt64
    }

    struct Entry: Decodable, Equatable {
        struct Platform: Decodable, Equatable {
            let architecture: String?
            let os: String?
        }
        let digest: String
        let size: UInt64
        let platform: Platform?
    }

    private struct Document: Decodable {
        let schemaVersion: UInt64
        let layers: [Descriptor]?
        let manifests: [Entry]?
    }

    /// The size that every registry must accept, so manifests are no larger (distribution spec, "Pushing Manifests").
    static let bytesMax = 4 << 20

    /// The accepted types. A registry answers 404 if the manifest has none of the requested types.
    static let mediaTypes = [
        "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
    ]

    /// Throws `.manifest` if the document is neither a manifest nor an index, or claims to be both.
    init(_ bytes: [UInt8], of source: String) throws(SourceError) {
        let document: Document
        do throws(FormatError) {
            document = try JSONDocument(bytes, name: "its manifest", bytesMax: Self.bytesMax).decode(Document.self)
        } catch {
            throw SourceError(.manifest, source: source, reason: error.description)
        }
        func refusal(_ reason: String) -> SourceError { SourceError(.manifest, source: source, reason: reason) }
        guard document.schemaVersion == 2 else {
            throw refusal("its manifest is of schema version \(document.schemaVersion), must be 2")
        }
        switch (document.layers, document.manifests) {
        case (let layers?, nil): self = .image(layers: layers)
        case (nil, let entries?): self = .index(entries)
        case (nil, nil): throw refusal("its manifest has neither layers nor manifests")
        case (.some, .some): throw refusal("its manifest has both layers and manifests")
        }
    }

    /// The only layer of an image. Throws `.manifest` if it has another number of layers, or a digest that is not SHA-256.
    static func layer(of layers: [Descriptor], in source: String) throws(SourceError) -> Descriptor {
        guard layers.count == 1, let layer = layers.first else {
            throw SourceError(
                .manifest, source: source,
                reason: "its manifest has \(layers.count) layers, must have one: the COSI file; this may be a container's image")
        }
        guard isSHA256(layer.digest) else {
            throw SourceError(
                .manifest, source: source, reason: "its layer's digest is \(printable(layer.digest)), must be of sha256")
        }
        return layer
    }

    /// Chooses the manifest for this machine. If there is only one, its architecture does not matter, since the image states
    /// its own; otherwise exactly one must be for this architecture.
    ///
    /// - Parameter architecture: in Go's spelling, which the image spec uses; nil if unknown.
    static func choose(_ entries: [Entry], architecture: String?, in source: String) throws(SourceError) -> Entry {
        // Attestations are listed as manifests for an unknown platform.
        let images = entries.filter { $0.platform?.architecture != "unknown" }
        let matching =
            images.count == 1 ? images : images.filter { $0.platform?.architecture == architecture && architecture != nil }
        guard let entry = matching.first else {
            let others = images.prefix(10).map { printable($0.platform?.architecture ?? "unnamed", scalarsMax: 20) }
            throw SourceError(
                .notFound, source: source,
                reason: "its index has nothing for \(architecture ?? "this machine")"
                    + (others.isEmpty
                        ? "" : ", only for \(others.joined(separator: ", ")); to take one of these, name it by its digest"))
        }
        guard matching.count == 1 else {
            throw SourceError(
                .manifest, source: source,
                reason: "its index has \(matching.count) manifests for \(architecture ?? "this machine"); name one by its digest")
        }
        guard isSHA256(entry.digest) else {
            throw SourceError(
                .manifest, source: source, reason: "its index has the digest \(printable(entry.digest)), must be of sha256")
        }
        return entry
    }

    /// This host's architecture as the image spec spells it; nil if it has no name for it.
    static var hostArchitecture: String? {
        switch StreamDisk.hostArchitecture() {
        case .x86_64: "amd64"
        case .arm64: "arm64"
        case nil: nil
        }
    }
}
