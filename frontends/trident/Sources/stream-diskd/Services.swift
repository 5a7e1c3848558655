import GRPCCore
import StreamDisk
import TridentProtocol

/// Answers StreamDisk: Started, the log, and at the end exactly one Completed.
struct StreamingService: Trident_V1_StreamingService.SimpleServiceProtocol {
    let desk: ServicingDesk

    func streamDisk(
        request: Trident_V1_StreamDiskRequest, response: RPCWriter<Trident_V1_ServicingResponse>, context: ServerContext
    ) async throws {
        let client = try desk.begin(try ServicingOrder(request))
        defer { desk.closed(client) }
        var isCompleted = false
        try await withRPCCancellationHandler {
            try await response.write(.now { $0.started = Trident_V1_Started() })
            for await message in client.messages {
                try await response.write(message)
                if case .completed = message.response { isCompleted = true }
            }
        } onCancelRPC: {
            // A client that leaves ends this answer, and never the work. A server that is about to stop says the same, and lets
            // answers go on.
            guard desk.stopReason == nil else { return }
            desk.left(client)
            client.abandon()
        }
        // A client would take an end without Completed for a success.
        guard isCompleted else { throw RPCError(code: .cancelled, message: "the client has left") }
    }
}

/// Answers Version.
struct VersionService: Trident_V1_VersionService.SimpleServiceProtocol {
    let desk: ServicingDesk

    func version(request: Trident_V1_VersionRequest, context: ServerContext) async throws -> Trident_V1_VersionResponse {
        desk.touch()
        return .with { $0.version = ProductVersion.current }
    }
}
