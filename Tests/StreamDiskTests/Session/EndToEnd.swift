import StreamDisk
import Testing

@testable import TestSupport

/// Whole runs through the library's entry: one at a time, since each keeps a disk and two cores busy.
@Suite(.serialized, .timeLimit(.minutes(10))) struct EndToEnd {}

/// What a run told, in order.
struct RunLog {
    var phases: [StreamPhase] = []
    var plans: [StreamPlan] = []
    var warnings: [String] = []
    var retries: [SourceNote] = []
    var progress: [StreamProgress] = []

    mutating func add(_ event: StreamEvent) {
        switch event {
        case .phase(let phase): phases.append(phase)
        case .plan(let plan): plans.append(plan)
        case .warning(let warning): warnings.append(warning.description)
        case .retry(let note): retries.append(note)
        case .progress(let progress): self.progress.append(progress)
        }
    }
}

/// Limits that a busy host does not reach.
func patientOptions() -> SourceOptions { quickOptions(retry: 30, stall: 10) }

/// Streams `reference` onto `path`.
func stream(
    _ reference: String, to path: String, _ options: StreamOptions = StreamOptions(),
    source: SourceOptions = patientOptions(), cancellation: Cancellation = Cancellation(),
    approve: (StreamPlan) -> Bool = { _ in true }, onEvent: (StreamEvent) -> Void = { _ in }
) throws -> (result: StreamResult, log: RunLog) {
    var log = RunLog()
    let result = try streamImage(
        from: makeImageSource(reference, options: source), to: .path(path), options: options, cancellation: cancellation,
        approve: approve,
        onEvent: { event in
            log.add(event)
            onEvent(event)
        })
    return (result, log)
}

/// What a run that must fail fails with; nil, and an issue, when it does not.
func failure(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) throws -> StreamError? {
    do {
        try body()
        Issue.record("the run ended well", sourceLocation: sourceLocation)
        return nil
    } catch let error as StreamError {
        return error
    }
}
