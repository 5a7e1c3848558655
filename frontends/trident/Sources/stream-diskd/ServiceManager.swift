import Glibc

/// What systemd asks of a service and tells it, through its environment (sd_listen_fds(3), sd_notify(3)).
struct ServiceManager: Sendable {
    private let listenPID: String?
    private let listenCount: String?
    private let listenNames: String?
    private let notifyAddress: UnixAddress?

    /// The first descriptor that is passed.
    private static let firstDescriptor: Int32 = 3

    /// Takes the variables out of the environment, so that no child takes them for its own. Call it before any thread starts.
    static func taken() -> ServiceManager {
        ServiceManager(
            listenPID: take("LISTEN_PID"), listenCount: take("LISTEN_FDS"), listenNames: take("LISTEN_FDNAMES"),
            notifyAddress: take("NOTIFY_SOCKET").flatMap { UnixAddress($0, allowsAbstract: true) })
    }

    private static func take(_ name: String) -> String? {
        // SAFETY: no other thread is there that could change the environment.
        guard let value = unsafe getenv(name) else { return nil }
        defer { unsafe unsetenv(name) }
        return unsafe String(cString: value)
    }

    /// The socket that was passed; nil if none was.
    func socket() throws(SetUpError) -> ListeningSocket? {
        guard listenPID == "\(getpid())", let listenCount, listenCount != "0" else { return nil }
        guard let count = Int(listenCount), count > 0 else {
            throw SetUpError("LISTEN_FDS is '\(listenCount)', must be a number")
        }
        if let listenNames {
            let names = listenNames.split(separator: ":", omittingEmptySubsequences: false)
            guard names.count == count else {
                throw SetUpError("LISTEN_FDNAMES has \(names.count) names for \(count) descriptors: it must have one for each")
            }
        }
        guard count == 1 else { throw SetUpError("the service manager passed \(count) descriptors: one socket is needed") }
        return try ListeningSocket(inherited: Self.firstDescriptor)
    }

    /// Tells the service manager how things are. Never waits, and nobody needs to listen.
    func tell(_ lines: String...) {
        guard let notifyAddress else { return }
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { _ = close(descriptor) }
        let bytes = Array(lines.joined(separator: "\n").utf8)
        let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
        unsafe notifyAddress.with { address, size in
            _ = unsafe bytes.withUnsafeBytes { unsafe sendto(descriptor, $0.baseAddress, $0.count, flags, address, size) }
        }
    }
}
