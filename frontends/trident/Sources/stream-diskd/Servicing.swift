import StreamDisk
import TridentProtocol

/// What every servicing goes by: the policy of the command line.
struct ServicingSettings: Sendable {
    let target: StreamTarget
    let source: SourceOptions
    let memoryLimitBytes: UInt64?
    /// Where the kernel's command line is read from; nil if any root file system will do.
    let rootCheck: String?

    /// Reads the files that options name.
    init(_ arguments: DaemonArguments) throws(SetUpError) {
        target = arguments.disk.target
        source = try arguments.source.options()
        memoryLimitBytes = arguments.disk.memoryLimit?.bytes
        rootCheck = arguments.disk.requireLiveRoot ? arguments.disk.kernelCommandLine : nil
    }

    /// With the names of the daemon's options.
    static let wording = Wording { setting in
        switch setting {
        case .disk: "--disk"
        case .selection: "--select"
        case .hash: nil
        case .memoryLimit: "--memory-limit"
        case .authorities: "--cacert FILE"
        case .clientCertificate: "--cert FILE"
        case .clientKey: "--key FILE"
        case .plainHTTP: "--plain-http"
        case .headers: "--header @FILE"
        }
    }
}

/// One image onto one disk, from the order to its outcome. Runs on a thread of its own, which does the writing.
struct Servicing {
    let settings: ServicingSettings
    let log: DaemonLog
    let manager: ServiceManager
    let client: ClientStream

    /// Never throws: whatever happens, the client is told.
    func run(_ order: ServicingOrder) -> Trident_V1_Completed {
        var completed = Trident_V1_Completed()
        do throws(ServicingFailure) {
            let result = try stream(order)
            tell(.info, "the image is on \(result.plan.diskPath): \(ServicingProgress.summary(result))")
            completed.status = .success
            completed.imageHash = result.plan.hashText
            completed.servicingKind = .cleanInstall
            completed.rebootStatus = order.restarts ? .rebootStarted : .rebootRequired
            manager.tell("STATUS=the image is on the disk")
        } catch {
            tell(.error, error.report)
            completed.status = .failure
            completed.error = error.message
            completed.rebootStatus = .rebootNotRequired
            manager.tell("STATUS=the last request failed (\(error.subkind))")
        }
        return completed
    }

    private func stream(_ order: ServicingOrder) throws(ServicingFailure) -> StreamResult {
        if let rootCheck = settings.rootCheck { try LiveRoot.expect(kernelCommandLine: rootCheck) }
        var options = StreamOptions()
        options.hash = try order.hash()
        options.memoryLimitBytes = settings.memoryLimitBytes
        var progress = ServicingProgress()
        let result: StreamResult
        do throws(StreamError) {
            result = try streamImage(
                from: try order.source(settings.source), to: settings.target, options: options, approve: { !$0.isForeign },
                onEvent: { show($0, &progress) })
        } catch {
            throw ServicingFailure(error, ServicingSettings.wording)
        }
        // Of a disk that was named, the library takes it for one of another machine's. This daemon writes this machine's.
        guard result.isWritten else {
            throw ServicingFailure(
                .invalidInputError, "mismatched-architecture", "the image is for \(result.plan.architecture), this host is not")
        }
        return result
    }

    private func show(_ event: StreamEvent, _ progress: inout ServicingProgress) {
        switch event {
        case .plan(let plan):
            let partitions = plan.partitions.count { $0.imagePath != nil }
            engine(.info, "writing \(plan.imageName) with \(partitions) partitions onto \(plan.diskPath)", .preflight)
        case .phase(let phase):
            progress.phase = phase
            engine(.info, phase.title, phase)
            manager.tell("STATUS=\(phase.title)")
        case .progress(let now):
            let texts = progress.texts(of: now)
            if let status = texts.status { manager.tell("STATUS=\(status)") }
            if let line = texts.line { engine(.info, line, now.phase) }
        case .retry(let note): engine(.warn, "retry \(note.attempt) at byte \(note.offset): \(note.reason)", progress.phase)
        case .warning(let warning): engine(.warn, warning.message(ServicingSettings.wording), progress.phase)
        }
    }

    /// The library speaks.
    private func engine(_ level: Trident_V1_LogLevel, _ text: String, _ phase: StreamPhase, line: Int = #line) {
        tell(LogLine(level, text, target: LogLine.library, part: phase.rawValue, line: line))
    }

    private func tell(_ level: Trident_V1_LogLevel, _ text: String, line: Int = #line) { tell(LogLine(level, text, line: line)) }

    private func tell(_ line: LogLine) {
        log.write(line)
        client.send(line)
    }
}

extension StreamPlan {
    /// Whether the image is for machines with another processor than this one.
    fileprivate var isForeign: Bool {
        warnings.contains { if case .architecture = $0 { true } else { false } }
    }
}
