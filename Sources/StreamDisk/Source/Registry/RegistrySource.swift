import CosiFormat

/// An image that is the only layer of an artifact in a registry (OCI distribution spec 1.1).
///
/// `open` finds the layer. From then on it is read like a file on an HTTP server.
package final class RegistrySource: ReadsAhead {
    private let reference: RegistryReference
    private let options: SourceOptions
    private let authorizer: RegistryAuthorizer?
    private let layer = Monitor<HTTPSource?>(nil)

    /// Throws `.invalidReference`. Sends no request before `open`.
    package init(_ text: String, options: SourceOptions) throws(SourceError) {
        reference = try RegistryReference(text)
        self.options = options
        // If the user sets the header, no other authorization is sought.
        let isGiven = options.headers.contains { $0.lowercased().hasPrefix("authorization:") }
        authorizer = isGiven ? nil : RegistryAuthorizer(reference, options: options)
        _ = try endpoint("manifests/" + reference.manifest)
    }

    deinit { close() }

    package var name: String { reference.name }
    package var isUnprotected: Bool { options.usesPlainHTTP }
    package var earlyBytes: UInt64 { layer.withLock { $0 }?.earlyBytes ?? 0 }

    package func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead {
        let found = try findLayer(observer)
        guard let sha256 = [UInt8](hexadecimal: found.digest.dropFirst("sha256:".count)) else {
            throw SourceError(.manifest, source: name, reason: "its layer's digest is not of sha256")
        }
        let source = HTTPSource(
            try endpoint("blobs/" + found.digest), whole: ExpectedWhole(sizeBytes: found.size, sha256: sha256))
        layer.withLock { $0 = source }
        return try source.open(wantedBytes: wantedBytes, observer: observer)
    }

    package func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError) {
        _ = try opened().read(range, into: sink, ahead: [], observer: observer)
    }

    func read(
        _ range: Range<UInt64>, into sink: any ByteSink, ahead others: [Range<UInt64>], observer: SourceObserver
    ) throws(SourceError) -> [KnownBytes] {
        try opened().read(range, into: sink, ahead: others, observer: observer)
    }

    package func checkWhole(observer: SourceObserver) throws(SourceError) { try opened().checkWhole(observer: observer) }

    package func close() { layer.withLock { $0.take() }?.close() }

    private func opened() throws(SourceError) -> HTTPSource {
        guard let source = layer.withLock({ $0 }) else { throw SourceError(.unreachable, source: name, reason: "is not open") }
        return source
    }

    private func endpoint(_ part: String) throws(SourceError) -> HTTPEndpoint {
        try HTTPEndpoint(
            url: reference.url(part, isPlain: options.usesPlainHTTP), options: options, name: name, authorizer: authorizer)
    }

    /// Resolves the reference to a manifest, through an index if there is one, and the manifest to its layer.
    private func findLayer(_ observer: SourceObserver) throws(SourceError) -> RegistryManifest.Descriptor {
        var bytes = try manifest(reference.manifest, digest: reference.digest, observer)
        if case .index(let entries) = try RegistryManifest(bytes, of: name) {
            let entry = try RegistryManifest.choose(entries, architecture: RegistryManifest.hostArchitecture, in: name)
            bytes = try manifest(entry.digest, digest: entry.digest, observer)
            guard UInt64(bytes.count) == entry.size else {
                throw SourceError(
                    .digest, source: name, reason: "a manifest has \(bytes.count) bytes, its index says \(entry.size)")
            }
        }
        guard case .image(let layers) = try RegistryManifest(bytes, of: name) else {
            throw SourceError(.manifest, source: name, reason: "its index names another index, must name a manifest")
        }
        return try RegistryManifest.layer(of: layers, in: name)
    }

    /// The bytes of a manifest, checked against `digest` and against the digest that the server states.
    private func manifest(
        _ manifest: String, digest: String?, _ observer: SourceObserver
    ) throws(SourceError) -> [UInt8] {
        let endpoint = try endpoint("manifests/" + manifest)
        try endpoint.checkFiles()
        let answer = try HTTPDocument.get(
            endpoint, accept: RegistryManifest.mediaTypes, bytesMax: RegistryManifest.bytesMax, observer: observer)
        let actual = "sha256:" + MessageDigest.digest(of: answer.bytes, .sha256).hexadecimal
        if let digest, digest != actual {
            throw SourceError(.digest, source: name, reason: "its manifest has the digest \(actual), asked for was \(digest)")
        }
        // A digest of another algorithm cannot be compared.
        if let stated = answer.response["docker-content-digest"], stated.hasPrefix("sha256:"), stated != actual {
            throw SourceError(
                .digest, source: name,
                reason: "its manifest has the digest \(actual), the registry says \(printable(stated, scalarsMax: 80))")
        }
        return answer.bytes
    }
}
