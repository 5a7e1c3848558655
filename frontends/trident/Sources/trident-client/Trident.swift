import ArgumentParser
import Glibc

/// The entry of a program that is called as Trident's own client is: the same words, output and exit codes.
@main
struct Trident: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trident",
        abstract: "Ask a servicing daemon to write an OS image onto this machine's disk.",
        discussion: """
            Stands in for the client of Trident, installed as 'trident' where tooling calls that. It knows the calls of image \
            streaming alone; the daemon is stream-diskd or Trident's own.

            \(ExitCodes.table)
            """,
        subcommands: [GRPCClientCommand.self])

    static func main() async {
        // Whether anybody reads what is said is no matter to what is done.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            let code = exitCode(for: error)
            // A wrong command line. What a command itself ends with is an ExitCode already, and is said already.
            guard !(error is ExitCode), code == .validationFailure else { exit(withError: error) }
            StandardError.say(fullMessage(for: error))
            exit(withError: ExitCode(ExitCodes.setUp))
        }
    }
}

struct GRPCClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grpc-client", abstract: "Call a daemon over its socket.", subcommands: [StreamDiskCommand.self])

    @Option(help: "The daemon's socket, as unix:///path.")
    var server = "unix:///run/trident/trident.sock"
}

struct StreamDiskCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream-disk", abstract: "Have an image streamed onto the disk, and the machine rebooted.",
        aliases: ["stream-image"])

    @ParentCommand var client: GRPCClientCommand

    @Argument(help: "The image: an http, https or oci URL.")
    var url: String

    @Option(help: "What the image's metadata must hash to: sha384:HEX, or ignored.")
    var hash: String?

    @Option(help: "The daemon's socket; here or before 'stream-disk'.")
    var server: String?

    @Option(
        help: ArgumentHelp(
            "What reboots the machine if the daemon leaves that to its client: words at blanks, no shell.", valueName: "command"))
    var rebootCommand = "systemctl reboot"

    @Option(help: ArgumentHelp("How long the machine may take to go down then.", valueName: "seconds"))
    var rebootWait: UInt32 = 600

    func run() async throws {
        let reboot = RebootCommand(words: rebootCommand.split(separator: " ").map(String.init), waitSeconds: rebootWait)
        guard !reboot.words.isEmpty else { throw ValidationError("--reboot-command is empty.") }
        guard let path = ServerAddress.path(server ?? client.server) else {
            throw ValidationError("'\(server ?? client.server)' is no address of a daemon: unix:///path is one.")
        }
        switch await ServicingCall(socketPath: path, imageURL: url, imageHash: hash).run() {
        case .done: break
        case .rebootRequired:
            StandardError.say(level: .info, "A reboot is required to complete the operation")
            do throws(RebootCommand.Failed) { try reboot.run() } catch {
                StandardError.say(level: .error, error.description)
                throw ExitCode(ExitCodes.rebootFailed)
            }
        case .cannotCall(let reason):
            StandardError.say(level: .error, reason)
            throw ExitCode(ExitCodes.setUp)
        case .failed(let reason):
            StandardError.say(level: .error, reason)
            throw ExitCode(ExitCodes.servicingFailed)
        }
    }
}

/// Trident's.
enum ExitCodes {
    static let setUp: Int32 = 1
    static let servicingFailed: Int32 = 2
    static let rebootFailed: Int32 = 3

    static let table = """
        Exit codes: 0 the image is on the disk; 1 the daemon could not be called; 2 it was not streamed, or nothing is known of the \
        outcome; 3 the reboot failed.
        """
}

enum ServerAddress {
    /// The longest path that a Unix socket can have (unix(7): 108 bytes with the zero at its end).
    private static let pathBytesMax = 107

    /// The socket's path in `unix:///path` or `unix:/path` (gRPC's name syntax); nil if that is none.
    static func path(_ text: String) -> String? {
        guard text.hasPrefix("unix:") else { return nil }
        var path = text.dropFirst("unix:".count)
        if path.hasPrefix("//") { path = path.dropFirst(2) }
        guard path.hasPrefix("/"), path.utf8.count > 1, path.utf8.count <= pathBytesMax else { return nil }
        return String(path)
    }
}
