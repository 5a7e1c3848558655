import ArgumentParser
import Glibc
import StreamDisk

/// The command line: the policy that a request says nothing of.
struct DaemonArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream-diskd",
        abstract: "Write operating system images onto this machine's disk for clients of Trident's gRPC service.",
        discussion: """
            Exit codes: 0 fine, 1 the daemon could not begin, 2 it failed while it ran, 3 the reboot failed, 4 the command line is \
            wrong.
            """,
        version: ProductVersion.current)

    @Option(help: ArgumentHelp("Listen on this Unix socket, unless the service manager passes one.", valueName: "path"))
    var socket = "/run/trident/trident.sock"

    @Option(
        help: ArgumentHelp("End when there was no request and no work for this long: 90, 30s, 5m, 1.5h.", valueName: "time"))
    var inactivityTimeout = TimeSpan(seconds: 300)

    @Option(
        help: ArgumentHelp(
            "Restart the machine with this command when a client leaves that to the daemon. Split at spaces, run without a shell.",
            valueName: "command"))
    var rebootCommand = "systemctl reboot"

    @OptionGroup(title: "Disk options") var disk: DiskArguments

    @OptionGroup(title: "Source options") var source: SourceArguments

    func validate() throws {
        guard inactivityTimeout.isUsable else {
            throw ValidationError("--inactivity-timeout must be above 0 and at most a year.")
        }
        if rebootWords.isEmpty { throw ValidationError("--reboot-command is empty: name a program.") }
        if socket.isEmpty { throw ValidationError("--socket is empty: name a path.") }
    }

    var rebootWords: [String] { rebootCommand.split(separator: " ").map(String.init) }
}

/// Onto what, and when at all.
struct DiskArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Write to this block device or existing regular file. Without --disk: the smallest disk that fits and is not in use.",
            valueName: "path"))
    var disk: String?

    @Option(
        help: ArgumentHelp(
            "Choose by what is known of the disk: the smallest that fits among those with this serial, wwn, model, vendor, name, "
                + "by_path, rotational (true or false) or size, as in --select vendor=ATA --select 'size>=500G'. Repeatable: all "
                + "must be met.", valueName: "key=value"))
    var select: [String] = []

    @Flag(
        help: ArgumentHelp(
            "Refuse to write unless this system runs from memory or a live medium: root=/dev/ram0 or root=live: on the kernel's "
                + "command line, or no root= there and a root file system on no disk."))
    var requireLiveRoot = false

    @Option(
        help: ArgumentHelp("Read the kernel's command line from this file.", valueName: "file", visibility: .hidden))
    var kernelCommandLine = "/proc/cmdline"

    @Option(
        help: ArgumentHelp(
            "Use at most this much memory for windows and buffers, such as 512M or 1.5G. With less, fewer decoders run.",
            valueName: "size"))
    var memoryLimit: ByteCount?

    func validate() throws {
        if disk?.isEmpty == true { throw ValidationError("--disk is empty: name a disk or a file.") }
        if disk != nil, !select.isEmpty { throw ValidationError("--select and --disk exclude each other.") }
        for text in select {
            if let refusal = DiskHint.refusal(of: text) { throw ValidationError("--select '\(text)' \(refusal).") }
        }
    }

    var target: StreamTarget {
        if let disk { return .path(disk) }
        return .smallestDisk(matching: select.compactMap { DiskHint($0) })
    }
}

/// How images are fetched.
struct SourceArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Give up when one spot of the image has made no progress for this long: 90, 30s, 5m, 1.5h.", valueName: "time"))
    var retryTimeout = TimeSpan(seconds: SourceOptions().retryTimeoutSeconds)

    @Option(help: ArgumentHelp("Reconnect when no byte arrives for this long.", valueName: "time"))
    var stallTimeout = TimeSpan(seconds: SourceOptions().stallTimeoutSeconds)

    @Option(help: ArgumentHelp("Fetch each partition image over this many parallel connections.", valueName: "count"))
    var connections = SourceOptions().connections

    @Flag(name: .customLong("plain-http"), help: "Reach a registry (oci://) over http, without TLS.")
    var plainHTTP = false

    @Option(
        name: .customLong("cacert"),
        help: ArgumentHelp("Trust the CA certificates in this file (PEM) instead of the system's.", valueName: "file"))
    var caFile: String?

    @Option(name: .customLong("cert"), help: ArgumentHelp("Client certificate (PEM).", valueName: "file"))
    var certificateFile: String?

    @Option(
        name: .customLong("key"),
        help: ArgumentHelp("Key of the client certificate (PEM, without a passphrase).", valueName: "file"))
    var keyFile: String?

    @Option(
        name: .customLong("header"),
        help: ArgumentHelp(
            "Send an extra HTTP header: 'Name: value', or @FILE with one a line, which keeps secrets out of the process list. Sent "
                + "to the first host only, never to one it redirects to. Repeatable.", valueName: "header"))
    var headers: [String] = []

    func validate() throws {
        for (name, time) in [("--retry-timeout", retryTimeout), ("--stall-timeout", stallTimeout)] where !time.isUsable {
            throw ValidationError("\(name) must be above 0 and at most a year.")
        }
        guard (1...SourceOptions.connectionsMax).contains(connections) else {
            throw ValidationError("--connections must be 1 to \(SourceOptions.connectionsMax).")
        }
        if keyFile != nil, certificateFile == nil { throw ValidationError("--key takes its certificate with it: --cert FILE.") }
        for header in headers where !header.hasPrefix("@") {
            if let refusal = SourceOptions.refusal(ofHeader: header) { throw ValidationError("--header \(refusal).") }
        }
    }

    /// Files of headers are read now.
    func options() throws(SetUpError) -> SourceOptions {
        var options = SourceOptions()
        options.retryTimeoutSeconds = retryTimeout.seconds
        options.stallTimeoutSeconds = stallTimeout.seconds
        options.connections = connections
        options.caFile = caFile
        options.clientCertificateFile = certificateFile
        options.clientKeyFile = keyFile
        options.usesPlainHTTP = plainHTTP
        for (name, file) in [("--cacert", caFile), ("--cert", certificateFile), ("--key", keyFile)] {
            guard let file, unsafe access(file, R_OK) != 0 else { continue }
            throw SetUpError("\(name) \(file): \(errorText())", code: ExitCodes.configuration)
        }
        do throws(HeaderFile.Refusal) {
            for header in headers { options.headers += try HeaderFile.expanded(header) }
        } catch {
            throw SetUpError("--header \(error.message)", code: ExitCodes.configuration)
        }
        return options
    }
}
