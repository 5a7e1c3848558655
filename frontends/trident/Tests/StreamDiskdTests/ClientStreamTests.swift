import Testing
import TridentProtocol

@testable import stream_diskd

/// What no client can show from outside: how much is kept for one that does not read.
@Suite struct ClientStreamTests {
    @Test("A client that reads nothing is kept a bounded number of messages, the newest, and Completed is the last of them")
    func boundedAndCompletedLast() async {
        let stream = ClientStream()
        for number in 0..<100_000 { stream.send(LogLine(.info, "line \(number)")) }
        stream.end(.with { $0.status = .success })
        var messages: [Trident_V1_ServicingResponse] = []
        for await message in stream.messages { messages.append(message) }
        #expect(messages.count == 256)
        #expect(messages.last?.completed.status == .success)
        #expect(messages.dropLast().last?.log.message.contains("left out") == true)
        #expect(messages.dropLast(2).last?.log.message == "line 99999")
        #expect(messages.count { $0.response.map { if case .completed = $0 { true } else { false } } == true } == 1)
    }

    @Test("Nothing is kept for a client that has left, and the servicing still ends")
    func abandoned() async {
        let stream = ClientStream()
        stream.abandon()
        for number in 0..<1000 { stream.send(LogLine(.info, "line \(number)")) }
        stream.end(Trident_V1_Completed())
        var count = 0
        for await _ in stream.messages { count += 1 }
        #expect(count == 0)
    }

    @Test("What comes from outside cannot drive the terminal of who reads the log")
    func escaped() {
        let line = LogLine(.warn, "a\u{1b}[2J\nb")
        #expect(!line.message.message.unicodeScalars.contains { $0.value < 0x20 })
        #expect(line.message.module == "stream_diskd::ClientStreamTests")
    }
}
