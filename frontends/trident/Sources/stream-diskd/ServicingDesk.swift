import GRPCCore
import StreamDisk
import Synchronization
import TridentProtocol

/// Takes requests: one at a time, and none once the daemon stops.
final class ServicingDesk: Sendable {
    private struct State {
        /// The servicing that runs, if one does.
        var client: ClientStream?
        var isHeard = false
        /// Clients that have not got the end of their answer.
        var openAnswers = 0
        var lastUse = ContinuousClock.now
        var stopReason: String?
        var isRestartWanted = false
    }

    private let settings: ServicingSettings
    private let log: DaemonLog
    private let manager: ServiceManager
    private let state = Mutex(State())

    init(_ settings: ServicingSettings, log: DaemonLog, manager: ServiceManager) {
        self.settings = settings
        self.log = log
        self.manager = manager
    }

    // MARK: Requests

    /// Starts a servicing on a thread of its own.
    ///
    /// - Returns: what its client is told.
    /// - Throws: UNAVAILABLE if another one runs or the daemon stops, INTERNAL if the host has no thread to spare.
    func begin(_ order: ServicingOrder) throws(RPCError) -> ClientStream {
        let client = ClientStream()
        let refusal = state.withLock { state -> String? in
            state.lastUse = .now
            if state.stopReason != nil { return "the daemon is stopping" }
            if state.client != nil {
                return state.isHeard
                    ? "busy: another client's request is being served"
                    : "servicing is active: its client has left, and the work goes on"
            }
            (state.client, state.isHeard) = (client, true)
            state.openAnswers += 1
            return nil
        }
        if let refusal { throw RPCError(code: .unavailable, message: refusal) }
        do throws(SystemError) {
            _ = try WorkerThread(name: "servicing") { self.serve(order, client) }
        } catch {
            closed(client)
            end(wantsRestart: false)
            throw RPCError(code: .internalError, message: "cannot start a thread: \(error)")
        }
        return client
    }

    /// A request that is answered at once.
    func touch() { state.withLock { $0.lastUse = .now } }

    /// The client does not listen any more.
    func left(_ client: ClientStream) {
        let isEarly = state.withLock { state -> Bool in
            guard state.client === client, state.isHeard else { return false }
            state.isHeard = false
            return true
        }
        if isEarly { log.info("the client has left; its request is served to the end") }
    }

    /// The client's answer has ended, one way or another.
    func closed(_ client: ClientStream) {
        left(client)
        state.withLock { $0.openAnswers -= 1 }
    }

    private func serve(_ order: ServicingOrder, _ client: ClientStream) {
        let completed = Servicing(settings: settings, log: log, manager: manager, client: client).run(order)
        // First, so that a client that knows of the end can ask again.
        end(wantsRestart: completed.rebootStatus == .rebootStarted)
        client.end(completed)
    }

    private func end(wantsRestart: Bool) {
        state.withLock { state in
            state.client = nil
            state.lastUse = .now
            guard wantsRestart else { return }
            state.isRestartWanted = true
            state.stopReason = state.stopReason ?? "the machine is to be restarted"
        }
    }

    // MARK: The daemon

    var isWorking: Bool { state.withLock { $0.client != nil } }
    var hasOpenAnswers: Bool { state.withLock { $0.openAnswers > 0 } }
    /// Whether a servicing has left the restart of the machine to the daemon.
    var isRestartWanted: Bool { state.withLock { $0.isRestartWanted } }
    /// Why no more requests are taken; nil while they are.
    var stopReason: String? { state.withLock { $0.stopReason } }

    /// Takes no more requests.
    func stop(_ reason: String) { state.withLock { $0.stopReason = $0.stopReason ?? reason } }

    /// Takes no more requests if there was neither one nor work for this long.
    func stop(ifIdleFor time: TimeSpan) {
        state.withLock { state in
            guard state.client == nil, state.lastUse.duration(to: .now) >= .seconds(time.seconds) else { return }
            state.stopReason = state.stopReason ?? "no request for \(time)"
        }
    }
}
