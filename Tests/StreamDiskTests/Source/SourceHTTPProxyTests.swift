import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport

/// Each in a process of its own: the environment belongs to the whole process.
@Suite struct SourceHTTPProxyTests {
    @Test func theEnvironmentsProxyIsUsed() async {
        await #expect(processExitsWith: .success) {
            let content = sampleBytes(20_000)
            let proxy = try FaultServer(content) { $0.index == 1 ? .status(502) : FaultServer.Answer() }
            unsafe setenv("http_proxy", "http://user:word@127.0.0.1:\(proxy.port)", 1)
            let got = try fetchAll("http://image.invalid/a.cosi")
            try #require(got.bytes == content)
            try #require(proxy.requests.count == 3)
            for request in proxy.requests {
                try #require(request.target == "http://image.invalid/a.cosi")
                try #require(request.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk")
            }
        }
    }

    @Test func exceptionsFromTheProxyAreKept() async {
        await #expect(processExitsWith: .success) {
            let proxy = try FaultServer([]) { _ in .status(500) }
            let server = try FaultServer([1, 2, 3])
            unsafe setenv("http_proxy", "http://127.0.0.1:\(proxy.port)", 1)
            unsafe setenv("no_proxy", "other.invalid,127.0.0.1", 1)
            try #require(try fetchAll(server.url()).bytes == [1, 2, 3])
            try #require(proxy.requests.isEmpty)
        }
    }

    @Test func aProxyThatRefusesOrDropsIsTold() async {
        await #expect(processExitsWith: .success) {
            let proxy = try FaultServer([]) { request in
                switch request.target {
                case "wants.invalid:443": .status(407)
                case "forbids.invalid:443": .status(403)
                case "busy.invalid:443": .status(503)
                default: .nothing
                }
            }
            unsafe setenv("https_proxy", "http://127.0.0.1:\(proxy.port)", 1)
            for (host, kind, tries) in [
                ("wants", SourceError.Kind.notPermitted, 1...1), ("forbids", .notPermitted, 1...1),
                ("busy", .unreachable, 2...20), ("drops", .unreachable, 2...20),
            ] {
                let secret = quickOptions(retry: 0.5, headers: ["Authorization: secret"])
                let error = sourceError { _ = try fetchAll("https://\(host).invalid/x", options: secret) }
                try #require(error?.kind == kind, "\(host): \(String(describing: error))")
                let asked = proxy.requests.filter { $0.target.hasPrefix(host) }
                try #require(tries.contains(asked.count), "\(host): \(asked.count)")
                try #require(asked.allSatisfy { $0.method == "CONNECT" && $0.headers["authorization"] == nil })
            }
        }
    }
}
