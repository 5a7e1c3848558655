import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NIOPosix
import StreamDisk

/// The server's life: it serves until it is told to stop or nobody wants anything, lets the work end, and restarts the machine if
/// that is left to it.
final class Daemon: Sendable {
    private static let tick = Duration.milliseconds(200)
    /// So long a client may take to read the end of its answer once the work is done.
    private static let patience = Duration.seconds(10)
    private static let grace = Duration.seconds(1)

    /// A URL and a hash are far shorter.
    private static let requestBytesMax = 64 << 10
    /// Requests at once on one connection.
    private static let streamsMax = 100

    private let arguments: DaemonArguments
    private let socket: ListeningSocket
    private let manager: ServiceManager
    private let log: DaemonLog
    private let desk: ServicingDesk
    private let server: GRPCServer<HTTP2ServerTransport.Posix>

    init(
        _ arguments: DaemonArguments, _ settings: ServicingSettings, socket: ListeningSocket, manager: ServiceManager,
        log: DaemonLog
    ) {
        self.arguments = arguments
        self.socket = socket
        self.manager = manager
        self.log = log
        desk = ServicingDesk(settings, log: log, manager: manager)
        // One thread is enough for the few messages.
        let transport = HTTP2ServerTransport.Posix(
            listeningSocketDescriptor: Int(socket.descriptor), transportSecurity: .plaintext,
            config: .defaults {
                $0.rpc.maxRequestPayloadSize = Self.requestBytesMax
                $0.http2.maxConcurrentStreams = Self.streamsMax
            }, eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1))
        server = GRPCServer(transport: transport, services: [StreamingService(desk: desk), VersionService(desk: desk)])
    }

    /// Takes no more requests, lets running work end, and ends. From any thread.
    func stop(_ reason: String) { desk.stop(reason) }

    /// Returns the exit code when all is done.
    func run() async -> Int32 {
        log.info("stream-diskd \(ProductVersion.current) listens on \(socket.name)")
        // A client that reads nothing would hold the server up for ever: whichever of the two ends first counts.
        let (ends, end) = AsyncStream<Result<Void, any Error>>.makeStream()
        Task { end.yield(await Task { try await server.serve() }.result) }
        Task { end.yield(.success(await watch())) }
        let result = await ends.first { _ in true }
        // The server does not wait for work whose client has left.
        while desk.isWorking { try? await Task.sleep(for: Self.tick) }
        socket.remove()
        if case .failure(let error) = result, desk.stopReason == nil {
            log.error("the server failed: \(error)")
            return ExitCodes.runtime
        }
        return desk.isRestartWanted ? await restart() : ExitCodes.done
    }

    private func restart() async -> Int32 {
        let command = RebootCommand(words: arguments.rebootWords)
        log.info("restarting the machine: \(arguments.rebootCommand)")
        guard let failure = await command.run() else { return ExitCodes.done }
        log.error("the machine was not restarted: \(failure)")
        return ExitCodes.rebootFailed
    }

    /// Ends the server when it is time. Returns when nobody needs to be waited for any more.
    private func watch() async {
        // It must be up before it can be ended. It takes connections already: the socket listens.
        _ = try? await server.transport.listeningAddress
        manager.tell("READY=1", "STATUS=waiting for a request")
        while desk.stopReason == nil {
            try? await Task.sleep(for: Self.tick)
            desk.stop(ifIdleFor: arguments.inactivityTimeout)
        }
        log.info("stopping: \(desk.stopReason ?? "")" + (desk.isWorking ? "; the work is finished first" : ""))
        manager.tell("STOPPING=1")
        // Before the server closes it: then nobody else's socket is there yet.
        socket.remove()
        server.beginGracefulShutdown()
        while desk.isWorking { try? await Task.sleep(for: Self.tick) }
        let end = ContinuousClock.now + Self.patience
        while desk.hasOpenAnswers, .now < end { try? await Task.sleep(for: Self.tick) }
        // A connection on which nothing is asked is not waited for; what was just said may still be on its way.
        try? await Task.sleep(for: Self.grace)
    }
}
