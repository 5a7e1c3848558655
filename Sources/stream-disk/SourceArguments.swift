import ArgumentParser
import StreamDisk

/// The options that say how an image is fetched; the same for every command that takes one.
struct SourceArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Give up when one spot of the image has not advanced for so long.", valueName: "seconds"))
    var retryTimeout = SourceOptions().retryTimeoutSeconds

    @Option(
        help: ArgumentHelp("Count no byte for so long as a fault, and retry.", valueName: "seconds"))
    var stallTimeout = SourceOptions().stallTimeoutSeconds

    @Option(
        help: ArgumentHelp(
            "Fetch each image over so many connections side by side: for servers that limit each one, and for long links.",
            valueName: "count"))
    var connections = SourceOptions().connections

    @Option(name: .customLong("cacert"), help: ArgumentHelp("Trust these authorities (PEM) instead of the system's.", valueName: "file"))
    var caFile: String?

    @Option(name: .customLong("cert"), help: ArgumentHelp("Client certificate (PEM).", valueName: "file"))
    var certificateFile: String?

    @Option(name: .customLong("key"), help: ArgumentHelp("Key of the client certificate (PEM).", valueName: "file"))
    var keyFile: String?

    @Option(
        name: .customLong("header"),
        help: ArgumentHelp(
            "Send this header too ('Name: value'); to the first host only, never to one it redirects to. Repeatable.",
            valueName: "header"))
    var headers: [String] = []

    func validate() throws {
        guard retryTimeout.isFinite, retryTimeout > 0 else { throw ValidationError("--retry-timeout must be above 0.") }
        guard stallTimeout.isFinite, stallTimeout > 0 else { throw ValidationError("--stall-timeout must be above 0.") }
        guard (1...SourceOptions.connectionsMax).contains(connections) else {
            throw ValidationError("--connections must be 1 to \(SourceOptions.connectionsMax).")
        }
        if keyFile != nil, certificateFile == nil { throw ValidationError("--key takes its certificate with it: --cert FILE.") }
        for header in headers {
            guard let colon = header.firstIndex(of: ":"), colon != header.startIndex,
                !header.unicodeScalars.contains(where: { $0.value < 0x20 })
            else { throw ValidationError("--header '\(header)' is not of the form 'Name: value'.") }
        }
    }

    /// The source that `reference` names, set up with these options.
    func source(_ reference: String) throws(SourceError) -> any ImageSource {
        var options = SourceOptions()
        options.retryTimeoutSeconds = retryTimeout
        options.stallTimeoutSeconds = stallTimeout
        options.connections = connections
        options.caFile = caFile
        options.clientCertificateFile = certificateFile
        options.clientKeyFile = keyFile
        options.headers = headers
        return try makeSource(reference, options: options)
    }
}
