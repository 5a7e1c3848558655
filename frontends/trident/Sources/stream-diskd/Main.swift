import ArgumentParser
import Glibc
import StreamDisk

/// The entry: what the process needs before any thread starts, then the daemon. The main thread takes the signals.
@main
enum Main {
    static func main() {
        prepareDescriptors()
        // A client that leaves and a limit on file sizes are errors of the call, not deaths.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var stops = stopSignals()
        unsafe pthread_sigmask(SIG_BLOCK, &stops, nil)

        let manager = ServiceManager.taken()
        let arguments: DaemonArguments
        do {
            arguments = try DaemonArguments.parse()
        } catch {
            end(parsing: error)
        }
        let log = DaemonLog()
        let daemon: Daemon
        do throws(SetUpError) {
            let settings = try ServicingSettings(arguments)
            let passed = try manager.socket()
            let socket = if let passed { passed } else { try ListeningSocket(bindingTo: arguments.socket) }
            daemon = Daemon(arguments, settings, socket: socket, manager: manager, log: log)
        } catch {
            log.error(error.message)
            log.end()
            exit(error.code)
        }
        Task.detached {
            let code = await daemon.run()
            log.end()
            exit(code)
        }
        while true {
            var number: Int32 = 0
            if unsafe sigwait(&stops, &number) == 0 { daemon.stop("signal \(number)") }
        }
    }

    /// The signals that end the daemon, once its work is done.
    static func stopSignals() -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGQUIT] { unsafe sigaddset(&set, number) }
        return set
    }

    /// More than whoever starts a service leaves open.
    private static let inheritedMax: Int32 = 1024

    /// Gives standard input, output and error a file where they are closed, so that no socket or disk gets their numbers. All
    /// else that was left open is not for the reboot command.
    private static func prepareDescriptors() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is taken (open(2)).
            guard unsafe open("/dev/null", O_RDWR) == number else { _exit(ExitCodes.setUp) }
        }
        for number in STDERR_FILENO + 1..<inheritedMax { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
    }

    /// Help and version, or a command line that is wrong: it is the agent's configuration.
    private static func end(parsing error: any Error) -> Never {
        let isWrong = DaemonArguments.exitCode(for: error) != .success
        guard isWrong else { DaemonArguments.exit(withError: error) }
        DaemonLog.print(DaemonArguments.fullMessage(for: error))
        exit(ExitCodes.configuration)
    }
}

/// What the daemon exits with, as Trident does.
enum ExitCodes {
    static let done: Int32 = 0
    static let setUp: Int32 = 1
    static let runtime: Int32 = 2
    static let rebootFailed: Int32 = 3
    static let configuration: Int32 = 4
}

/// Why the daemon cannot begin.
struct SetUpError: Error {
    let message: String
    let code: Int32

    init(_ message: String, code: Int32 = ExitCodes.setUp) {
        self.message = message
        self.code = code
    }
}
