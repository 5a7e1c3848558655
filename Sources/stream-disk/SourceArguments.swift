import ArgumentParser
import StreamDisk

/// The options for fetching an image; the same for every command that takes one.
struct SourceArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Give up when one spot of the image has made no progress for this long: 90, 30s, 5m, 1.5h.", valueName: "time"))
    var retryTimeout = TimeSpan(seconds: SourceOptions().retryTimeoutSeconds)

    @Option(
        help: ArgumentHelp("Reconnect when no byte arrives for this long.", valueName: "time"))
    var stallTimeout = TimeSpan(seconds: SourceOptions().stallTimeoutSeconds)

    @Option(
        help: ArgumentHelp(
            "Fetch each partition image over this many parallel connections: for servers that limit each one, and for long links.",
            valueName: "count"))
    var connections = SourceOptions().connections

    @Flag(name: .customLong("plain-http"), help: "Reach a registry (oci://) over http, without TLS.")
    var plainHTTP = false

    @Option(
        name: .customLong("cacert"),
        help: ArgumentHelp("Trust the CA certificates in this file (PEM) instead of the system's.", valueName: "file"),
        completion: .file())
    var caFile: String?

    @Option(
        name: .customLong("cert"), help: ArgumentHelp("Client certificate (PEM).", valueName: "file"), completion: .file())
    var certificateFile: String?

    @Option(
        name: .customLong("key"),
        help: ArgumentHelp("Key of the client certificate (PEM, without a passphrase).", valueName: "file"),
        completion: .file())
    var keyFile: String?

    @Option(
        name: .customLong("header"),
        help: ArgumentHelp(
            "Send an extra HTTP header: 'Name: value', or @FILE with one a line, which keeps secrets out of the process list. Sent "
                + "to the first host only, never to one it redirects to. Repeatable.",
            valueName: "header"))
    var headers: [String] = []

    func validate() throws {
        for (name, time) in [("--retry-timeout", retryTimeout), ("--stall-timeout", stallTimeout)] where !time.isUsable {
            throw ValidationError("\(name) must be above 0 and at most a year.")
        }
        guard (1...SourceOptions.connectionsMax).contains(connections) else {
            throw ValidationError("--connections must be 1 to \(SourceOptions.connectionsMax).")
        }
        if keyFile != nil, certificateFile == nil { throw ValidationError("--key takes its certificate with it: --cert FILE.") }
        for (index, header) in headers.enumerated() where !header.hasPrefix("@") {
            guard let refusal = SourceOptions.refusal(ofHeader: header) else { continue }
            throw ValidationError("--header\(headers.count > 1 ? " number \(index + 1)" : "") \(refusal).")
        }
    }

    /// All headers, including those from files, which are read on every call.
    func headerLines() throws(ArgumentFault) -> [String] {
        do throws(HeaderFile.Refusal) {
            var lines: [String] = []
            for header in headers { lines += try HeaderFile.expanded(header) }
            return lines
        } catch {
            throw ArgumentFault(code: error.code, message: "--header \(error.message)")
        }
    }

    /// For the `start` event; without the values of headers.
    var fields: [String: JSONValue] {
        [
            "retryTimeoutSeconds": .number(retryTimeout.seconds), "stallTimeoutSeconds": .number(stallTimeout.seconds),
            "connections": .count(UInt64(connections)), "cacert": .optional(caFile), "cert": .optional(certificateFile),
            "key": .optional(keyFile), "plainHttp": .flag(plainHTTP), "headerCount": .count(UInt64(headers.count)),
        ]
    }

    /// The source that `reference` names, configured with these options.
    ///
    /// - Parameter headers: from `headerLines`.
    func source(_ reference: String, headers: [String]) throws(SourceError) -> ImageSource {
        var options = SourceOptions()
        options.retryTimeoutSeconds = retryTimeout.seconds
        options.stallTimeoutSeconds = stallTimeout.seconds
        options.connections = connections
        options.caFile = caFile
        options.clientCertificateFile = certificateFile
        options.clientKeyFile = keyFile
        options.headers = headers
        options.usesPlainHTTP = plainHTTP
        return try makeImageSource(reference, options: options)
    }
}
