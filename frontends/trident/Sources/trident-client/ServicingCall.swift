import GRPCCore
import GRPCNIOTransportHTTP2Posix
import TridentProtocol

/// One request for an image to be streamed, from the call to its outcome.
struct ServicingCall {
    enum Outcome: Sendable, Equatable {
        /// The image is on the disk; the daemon sees to the reboot, or none is needed.
        case done
        /// The image is on the disk; the reboot is left to the client.
        case rebootRequired
        /// There is no daemon.
        case cannotCall(String)
        /// The daemon refused, failed, or left without a word of the outcome.
        case failed(String)
    }

    let socketPath: String
    let imageURL: String
    let imageHash: String?

    /// Says what the daemon says, as it comes.
    func run() async -> Outcome {
        var request = Trident_V1_StreamDiskRequest()
        request.imageURL = imageURL
        if let imageHash { request.imageHash = imageHash }
        request.reboot.handling = .tridentHandlesReboot
        let message = request
        do {
            let transport = try HTTP2ClientTransport.Posix(
                // Without an authority it would be the path, which servers refuse.
                target: .unixDomainSocket(path: socketPath, authority: "localhost"), transportSecurity: .plaintext)
            return try await withGRPCClient(transport: transport) { client in
                try await Trident_V1_StreamingService.Client(wrapping: client).streamDisk(message) { response in
                    var servicing = Servicing()
                    for try await part in response.messages {
                        if let outcome = servicing.receive(part) { return outcome }
                    }
                    return servicing.end()
                }
            }
        } catch let error as RPCError where error.code == .unavailable && error.cause != nil {
            return .cannotCall("There is no daemon at \(socketPath): \(error.message)")
        } catch let error as RPCError {
            return .failed("The daemon answered \(error.code): \(error.message)")
        } catch {
            return .failed("The call failed: \(error)")
        }
    }
}

/// What the messages of a call say, one after the other.
struct Servicing {
    private var isStarted = false

    /// Says what a message says; returns the outcome once that is known.
    mutating func receive(_ response: Trident_V1_ServicingResponse) -> ServicingCall.Outcome? {
        switch response.response {
        case .started:
            isStarted = true
            StandardError.say(level: .info, "Servicing started")
            return nil
        case .log(let log):
            let level = StandardError.Level(log.level) ?? .info
            StandardError.say(level: level, target: "DAEMON::" + (log.target.isEmpty ? log.module : log.target), log.message)
            return nil
        case .completed(let completed): return outcome(of: completed)
        case nil: return .failed("The daemon sent a message that says nothing")
        }
    }

    /// The stream is over and nothing was said of the outcome. For a stock client that is a success; here it is none: a daemon that
    /// was killed ends its stream in the same way.
    func end() -> ServicingCall.Outcome {
        let when = isStarted ? "in the middle of the work" : "before the work began"
        return .failed("The daemon's answer ended \(when): what is on the disk is not known")
    }

    private func outcome(of completed: Trident_V1_Completed) -> ServicingCall.Outcome {
        let error = completed.error
        let report =
            completed.hasError ? "with error: \(error.kind.wireName):\(error.subkind): \(error.message)" : "without error"
        switch completed.status {
        case .failure: return .failed("Servicing failed " + report)
        case .unspecified, .UNRECOGNIZED: return .failed("Unspecified final status " + report)
        case .success: break
        }
        switch completed.rebootStatus {
        case .unspecified, .UNRECOGNIZED: return .failed("The daemon does not say what is with the reboot")
        case .rebootNotRequired, .rebootRequired, .rebootStarted: break
        }
        StandardError.say(level: .info, "Servicing completed successfully")
        if completed.rebootStatus == .rebootStarted {
            StandardError.say(level: .info, "A reboot has been started by the daemon")
        }
        return completed.rebootStatus == .rebootRequired ? .rebootRequired : .done
    }
}

extension Trident_V1_TridentErrorKind {
    /// Its name in the protocol, which scripts look for.
    fileprivate var wireName: String {
        switch self {
        case .executionEnvironmentMisconfigurationError: "EXECUTION_ENVIRONMENT_MISCONFIGURATION_ERROR"
        case .healthChecksError: "HEALTH_CHECKS_ERROR"
        case .initializationError: "INITIALIZATION_ERROR"
        case .internalError: "INTERNAL_ERROR"
        case .invalidInputError: "INVALID_INPUT_ERROR"
        case .servicingError: "SERVICING_ERROR"
        case .unsupportedConfigurationError: "UNSUPPORTED_CONFIGURATION_ERROR"
        case .unspecified: "TRIDENT_ERROR_KIND_UNSPECIFIED"
        case .UNRECOGNIZED(let number): "\(number)"
        }
    }
}
