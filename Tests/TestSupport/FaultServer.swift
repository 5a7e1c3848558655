import Foundation
import Glibc

/// An HTTP/1.1 server on 127.0.0.1 that serves one content, and misbehaves as a script says, request by request.
///
/// A thread a connection. It records what was asked, and stops when the last reference goes.
final class FaultServer: Sendable {
    typealias Script = @Sendable (Request) -> Answer

    struct Request: Sendable {
        /// 0 for the first request to this server.
        let index: Int
        /// 0 for the first connection to this server.
        let connection: Int
        let method: String
        /// As sent: a path with its query, or a whole URL when asked as a proxy.
        let target: String
        /// Names in lower case.
        let headers: [String: String]

        var path: String {
            var rest = target[...]
            if let scheme = rest.range(of: "://") {
                rest = rest[scheme.upperBound...]
                rest = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
            }
            return String(rest.prefix { $0 != "?" })
        }
        /// First and last byte of `Range: bytes=a-b`.
        var range: ClosedRange<Int>? {
            guard let value = headers["range"], value.hasPrefix("bytes=") else { return nil }
            let ends = value.dropFirst(6).split(separator: "-").compactMap { Int($0) }
            return ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : nil
        }
    }

    /// What to answer, and how badly. As it stands it is right: `Answer()` serves the range asked for.
    struct Answer: Sendable {
        enum End: Sendable, Equatable {
            case complete
            /// After so many bytes of the body: the connection is closed, reset, or left open in silence.
            case cut(Int)
            case reset(Int)
            case stall(Int)
        }
        /// Nil: 206 or 200, as the request asks.
        var status: Int?
        /// Replaces what the server would send; a nil value leaves the header out.
        var headers: [String: String?] = [:]
        /// Nil: the content, or its range.
        var body: [UInt8]?
        /// Sends all with 200, whatever range is asked for.
        var ignoresRange = false
        var isChunked = false
        /// Sends the content from so many bytes further on, with the headers unchanged.
        var shiftBytes = 0
        /// Turns one bit of the content's byte at this position.
        var flippedByte: Int?
        /// Serves no more than so many bytes of the range asked for, and says so in `Content-Range`.
        var partBytesMax = Int.max
        /// Sent as it is in place of an answer; then the connection is closed.
        var raw: [UInt8]?
        var delaySeconds = 0.0
        /// So many bytes of the body at a time, with this pause between.
        var trickle: (bytes: Int, seconds: Double)?
        var end = End.complete

        static func status(_ status: Int, retryAfter: String? = nil) -> Answer {
            var answer = Answer(status: status, body: Array("answer \(status)\n".utf8))
            if let retryAfter { answer.headers["Retry-After"] = retryAfter }
            return answer
        }
        static func redirect(_ status: Int = 302, to location: String) -> Answer {
            Answer(status: status, headers: ["Location": location], body: Array("elsewhere\n".utf8))
        }
        /// Closes the connection without a word.
        static let nothing = Answer(status: 0)

        func ending(_ end: End) -> Answer { with { $0.end = end } }
        func header(_ name: String, _ value: String?) -> Answer { with { $0.headers[name] = .some(value) } }
        func with(_ change: (inout Answer) -> Void) -> Answer {
            var copy = self
            change(&copy)
            return copy
        }
    }

    let port: UInt16
    private let core: Core

    init(_ content: [UInt8], script: @escaping Script = { _ in Answer() }) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw POSIXError(.EMFILE) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // SAFETY: a sockaddr_in is passed where C expects a sockaddr, with its length, for the time of the calls.
        let isListening = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe bind(listener, generic, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, generic, &length) == 0
            }
        }
        guard isListening else {
            close(listener)
            throw POSIXError(.EADDRNOTAVAIL)
        }
        port = UInt16(bigEndian: address.sin_port)
        let core = Core(content: content, listener: listener, script: script)
        self.core = core
        Thread.detachNewThread { core.acceptAll() }
    }

    deinit { stop() }

    /// What was asked so far, in the order of arrival.
    var requests: [Request] { core.state.withLock { $0.requests } }
    var connectionCount: Int { core.state.withLock { $0.connectionCount } }

    func url(_ path: String = "/image.cosi", userInfo: String = "", host: String = "127.0.0.1") -> String {
        "http://\(userInfo)\(host):\(port)\(path)"
    }

    /// Ends all connections and accepts no more.
    func stop() { core.stop() }
}

/// A value that threads share. By a lock that the thread sanitizer understands: it takes what `Synchronization.Mutex`
/// guards for races.
final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}

/// The part that the threads keep alive.
private final class Core: Sendable {
    struct State {
        var requests: [FaultServer.Request] = []
        var connectionCount = 0
        var open: Set<Int32> = []
        var isStopped = false
    }

    let content: [UInt8]
    let listener: Int32
    let script: FaultServer.Script
    let state = Locked(State())

    init(content: [UInt8], listener: Int32, script: @escaping FaultServer.Script) {
        self.content = content
        self.listener = listener
        self.script = script
    }

    func stop() {
        state.withLock { state in
            if state.isStopped { return }
            state.isStopped = true
            // Wakes the threads that wait on them; each closes its own.
            shutdown(listener, Int32(SHUT_RDWR))
            for connection in state.open { shutdown(connection, Int32(SHUT_RDWR)) }
        }
    }

    func acceptAll() {
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { break }
            let number = state.withLock { state -> Int? in
                guard !state.isStopped else { return nil }
                state.open.insert(connection)
                state.connectionCount += 1
                return state.connectionCount - 1
            }
            guard let number else {
                close(connection)
                break
            }
            Thread.detachNewThread {
                self.serve(connection, number)
                self.state.withLock { state in
                    state.open.remove(connection)
                    close(connection)
                }
            }
        }
        close(listener)
    }

    private func serve(_ connection: Int32, _ number: Int) {
        var pending: [UInt8] = []
        while let head = readHead(connection, &pending) {
            let lines = head.components(separatedBy: "\r\n")
            let first = lines[0].split(separator: " ")
            guard first.count == 3 else { return }
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                headers[line[..<colon].lowercased()] = value
            }
            let request = state.withLock { state in
                let request = FaultServer.Request(
                    index: state.requests.count, connection: number, method: String(first[0]),
                    target: String(first[1]), headers: headers)
                state.requests.append(request)
                return request
            }
            guard answer(request, script(request), connection) else { return }
        }
    }

    /// False when the connection is to be closed.
    private func answer(_ request: FaultServer.Request, _ answer: FaultServer.Answer, _ connection: Int32) -> Bool {
        guard pause(connection, answer.delaySeconds), answer.status != 0 else { return false }
        if let raw = answer.raw {
            _ = send(connection, raw)
            return false
        }
        var headers: [String: String] = [
            "ETag": "\"v1\"", "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT", "Accept-Ranges": "bytes",
        ]
        for case ("ETag", let replaced) in answer.headers { headers["ETag"] = replaced }
        let isCurrent =
            request.headers["if-range"].map { $0 == headers["ETag"] || $0 == headers["Last-Modified"] } ?? true

        var status = answer.status ?? 200
        var body = 0..<content.count
        if answer.status == nil || answer.status == 206, !answer.ignoresRange, isCurrent, let range = request.range {
            if range.lowerBound < content.count {
                status = 206
                let end = min(range.upperBound + 1, content.count)
                body = range.lowerBound..<min(end, range.lowerBound + min(answer.partBytesMax, content.count))
                headers["Content-Range"] = "bytes \(body.lowerBound)-\(body.upperBound - 1)/\(content.count)"
            } else {
                status = 416
                body = 0..<0
                headers["Content-Range"] = "bytes */\(content.count)"
            }
        }
        var bytes = answer.body ?? Array(content[body])
        if answer.body == nil {
            if let flipped = answer.flippedByte, body.contains(flipped) { bytes[flipped - body.lowerBound] ^= 1 }
            if answer.shiftBytes > 0 {
                bytes = (0..<bytes.count).map { content[(body.lowerBound + $0 + answer.shiftBytes) % content.count] }
            }
        }
        headers["Content-Length"] = answer.isChunked ? nil : "\(bytes.count)"
        if answer.isChunked { headers["Transfer-Encoding"] = "chunked" }
        for (name, value) in answer.headers { headers[name] = value }

        var head = "HTTP/1.1 \(status) Status\r\n"
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
        guard send(connection, Array((head + "\r\n").utf8)) else { return false }
        if request.method == "HEAD" { return true }
        return sendBody(bytes, answer, connection)
    }

    private func sendBody(_ bytes: [UInt8], _ answer: FaultServer.Answer, _ connection: Int32) -> Bool {
        let limit =
            switch answer.end {
            case .complete: bytes.count
            case .cut(let count), .reset(let count), .stall(let count): min(count, bytes.count)
            }
        let piece = answer.trickle?.bytes ?? 64 << 10
        for start in stride(from: 0, to: limit, by: piece) {
            let part = Array(bytes[start..<min(start + piece, limit)])
            let framed = answer.isChunked ? Array("\(String(part.count, radix: 16))\r\n".utf8) + part + [13, 10] : part
            guard send(connection, framed) else { return false }
            if let trickle = answer.trickle, !pause(connection, trickle.seconds) { return false }
        }
        switch answer.end {
        case .complete:
            return answer.isChunked ? send(connection, Array("0\r\n\r\n".utf8)) : true
        case .cut: return false
        case .reset:
            var linger = linger(l_onoff: 1, l_linger: 0)
            unsafe setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
            return false
        case .stall:
            _ = pause(connection, 60)
            return false
        }
    }

    /// Waits; false when the client has gone or the server stops meanwhile.
    private func pause(_ connection: Int32, _ seconds: Double) -> Bool {
        guard seconds > 0 else { return true }
        // POLLRDHUP, which a macro hides.
        var poll = pollfd(fd: connection, events: Int16(0x2000), revents: 0)
        return unsafe Glibc.poll(&poll, 1, Int32(seconds * 1000)) == 0
    }

    private func send(_ connection: Int32, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { area in
                unsafe Glibc.send(
                    connection, area.baseAddress.map { unsafe $0 + sent }, area.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    /// The next request's head; nil when the client has gone.
    private func readHead(_ connection: Int32, _ pending: inout [UInt8]) -> String? {
        let end: [UInt8] = [13, 10, 13, 10]
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            if let found = pending.indices.first(where: { pending[$0...].starts(with: end) }) {
                let head = String(decoding: pending[..<found], as: UTF8.self)
                pending.removeSubrange(..<(found + 4))
                return head
            }
            let count = unsafe recv(connection, &buffer, buffer.count, 0)
            guard count > 0, pending.count < 64 << 10 else { return nil }
            pending += buffer[..<count]
        }
    }
}
