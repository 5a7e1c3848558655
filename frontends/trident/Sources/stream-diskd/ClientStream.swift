import Glibc
import Synchronization
import TridentProtocol

/// What one client is told, on its way from the servicing to the network.
///
/// It is bounded: a client that reads slowly, or not at all, misses the oldest lines and slows nothing down. The last message is
/// the newest, so it is never the one that is dropped.
final class ClientStream: Sendable {
    private static let messagesMax = 256

    let messages: AsyncStream<Trident_V1_ServicingResponse>
    private let continuation: AsyncStream<Trident_V1_ServicingResponse>.Continuation
    private let dropped = Atomic<Int>(0)

    init() {
        (messages, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.messagesMax))
    }

    func send(_ line: LogLine) { yield(.now { $0.log = line.message }) }

    /// The end of the servicing.
    func end(_ completed: Trident_V1_Completed) {
        let count = dropped.load(ordering: .relaxed)
        if count > 0 { send(LogLine(.warn, "\(count) lines were not read in time and are left out")) }
        yield(.now { $0.completed = completed })
        continuation.finish()
    }

    /// Nobody reads any more.
    func abandon() { continuation.finish() }

    private func yield(_ message: Trident_V1_ServicingResponse) {
        if case .dropped = continuation.yield(message) { dropped.add(1, ordering: .relaxed) }
    }
}

extension Trident_V1_ServicingResponse {
    /// A message of this moment.
    static func now(_ fill: (inout Trident_V1_ServicingResponse) -> Void) -> Trident_V1_ServicingResponse {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        var response = Trident_V1_ServicingResponse()
        response.timestamp.seconds = Int64(time.tv_sec)
        response.timestamp.nanos = Int32(time.tv_nsec)
        fill(&response)
        return response
    }
}
