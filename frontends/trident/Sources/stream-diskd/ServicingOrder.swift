import CosiFormat
import GRPCCore
import StreamDisk
import TridentProtocol

/// What a client asks for.
struct ServicingOrder: Sendable {
    let imageURL: String
    let hashText: String?
    /// Whether this daemon restarts the machine afterwards.
    let restarts: Bool

    /// - Throws: INVALID_ARGUMENT for a URL that does not parse. Everything else about the image is found out by the servicing.
    init(_ request: Trident_V1_StreamDiskRequest) throws(RPCError) {
        imageURL = request.imageURL
        hashText = request.hasImageHash ? request.imageHash : nil
        switch request.reboot.handling {
        case .unspecified, .tridentHandlesReboot: restarts = true
        // What a later client may ask for is not to be guessed: that machine stays as it is.
        case .callerHandlesReboot, .UNRECOGNIZED: restarts = false
        }
        try expectURL()
    }

    private func expectURL() throws(RPCError) {
        guard let scheme else {
            throw Self.unparsed("it does not begin with a scheme: give an https://, http://, oci:// or file:// URL")
        }
        guard ["http", "https"].contains(scheme) else { return }
        do throws(SourceError) {
            try makeImageSource(imageURL).close()
        } catch {
            throw Self.unparsed("\(error.source): \(error.reason)")
        }
    }

    private static func unparsed(_ reason: String) -> RPCError {
        // It is sent as a header, for which clients have little room.
        RPCError(code: .invalidArgument, message: printable("the image's URL cannot be parsed: \(reason)", scalarsMax: 500))
    }

    /// What stands before the first colon, in lower case (RFC 3986, 3.1); nil if that is no scheme.
    private var scheme: String? {
        guard let colon = imageURL.firstIndex(of: ":") else { return nil }
        let scheme = imageURL[..<colon].lowercased()
        guard let first = scheme.utf8.first, (0x61...0x7a).contains(first),
            scheme.utf8.allSatisfy({ (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0) })
        else { return nil }
        return scheme
    }

    /// The image, with these options.
    func source(_ options: SourceOptions) throws(SourceError) -> ImageSource {
        // Without the slashes it would be taken for the path of a file.
        guard let scheme, imageURL.dropFirst(scheme.count).hasPrefix("://") else {
            let name = scheme ?? "it"
            throw SourceError(
                .invalidReference, source: name, reason: "is not supported; give an https://, http://, oci:// or file:// URL")
        }
        return try makeImageSource(imageURL, options: options)
    }

    /// The hash to compare with.
    func hash() throws(ServicingFailure) -> ExpectedHash {
        guard let hashText else { return .ignored }
        if let hash = ExpectedHash(hashText) { return hash }
        let reason = "the image hash '\(printable(hashText))' \(ExpectedHash.refusal(of: hashText) ?? "cannot be read")"
        // Of the right kind, but no image has such a one.
        let isRightKind = hashText.lowercased().hasPrefix("sha384:")
        throw ServicingFailure(.invalidInputError, isRightKind ? "load-cosi" : "unsupported-hash-kind", reason)
    }
}
