import Foundation
import Glibc

/// A real nginx on free loopback ports, with a folder of its own to serve; it ends with the last reference.
///
/// Plain and, with certificates that the openssl tool made, TLS. Every file is below one temporary folder.
final class Nginx: Sendable {
    struct Settings: Sendable {
        /// Such as `20m`: bytes per second and connection.
        var limitRate: String?
        /// False: answers 200 to every range request.
        var doesRanges = true
        /// Wants a client certificate that its authority signed.
        var wantsClientCertificate = false
        /// The names in the server's certificate (subjectAltName).
        var certificateNames = "DNS:localhost,IP:127.0.0.1"
        /// More directives for both servers.
        var extra = ""
    }

    struct Failed: Error, CustomStringConvertible { let description: String }

    let folder: TemporaryFolder
    let port: UInt16
    let tlsPort: UInt16
    private let processID: Int32

    /// The authority that signed the server's certificate, PEM.
    var caFile: String { folder.path + "/ca.pem" }
    /// A client certificate of the same authority, and its key.
    var clientCertificateFile: String { folder.path + "/client.pem" }
    var clientKeyFile: String { folder.path + "/client.key" }
    /// One line a request: status, bytes sent, and the request's range or `-`.
    var accessLog: [String] {
        let text = (try? String(contentsOfFile: folder.path + "/access.log", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    init(_ settings: Settings = Settings()) throws {
        folder = try TemporaryFolder()
        let path = folder.path
        try FileManager.default.createDirectory(atPath: path + "/www", withIntermediateDirectories: true)
        try Self.makeCertificates(in: path, names: settings.certificateNames)
        for attempt in 1... {
            let ports = try Self.freePorts(2)
            try Self.configuration(settings, path, ports).write(
                toFile: path + "/nginx.conf", atomically: true, encoding: .utf8)
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["nginx", "-p", path, "-e", path + "/error.log", "-c", path + "/nginx.conf"]
            process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            // The file appears when the ports are bound; where they are not, the process ends.
            while process.isRunning {
                if FileManager.default.fileExists(atPath: path + "/nginx.pid") {
                    (port, tlsPort, processID) = (ports[0], ports[1], process.processIdentifier)
                    return
                }
                usleep(5000)
            }
            if attempt == 5 {
                let log = (try? String(contentsOfFile: path + "/error.log", encoding: .utf8)) ?? ""
                throw Failed(description: "nginx did not start: \(log)")
            }
        }
        fatalError("the loop has no end")
    }

    deinit {
        kill(processID, SIGTERM)
        // Its files are about to go.
        for _ in 0..<100 where kill(processID, 0) == 0 { usleep(10_000) }
    }

    /// Puts a file into the served folder.
    func serve(_ name: String, _ bytes: [UInt8]) throws {
        _ = try folder.write("www/" + name, bytes)
    }

    func url(_ name: String) -> String { "http://127.0.0.1:\(port)/\(name)" }
    func tlsURL(_ name: String, host: String = "127.0.0.1") -> String { "https://\(host):\(tlsPort)/\(name)" }

    private static func configuration(_ settings: Settings, _ path: String, _ ports: [UInt16]) -> String {
        """
        daemon off;
        master_process off;
        pid \(path)/nginx.pid;
        events { worker_connections 256; }
        http {
            log_format ranges '$status $body_bytes_sent $http_range';
            access_log \(path)/access.log ranges;
            client_body_temp_path \(path)/t1; proxy_temp_path \(path)/t2; fastcgi_temp_path \(path)/t3;
            uwsgi_temp_path \(path)/t4; scgi_temp_path \(path)/t5;
            default_type application/octet-stream;
            sendfile on;
            root \(path)/www;
            \(settings.limitRate.map { "limit_rate \($0);" } ?? "")
            \(settings.doesRanges ? "" : "max_ranges 0;")
            server { listen 127.0.0.1:\(ports[0]); \(settings.extra) }
            server {
                listen 127.0.0.1:\(ports[1]) ssl;
                ssl_certificate \(path)/server.pem;
                ssl_certificate_key \(path)/server.key;
                \(settings.wantsClientCertificate ? "ssl_client_certificate \(path)/ca.pem; ssl_verify_client on;" : "")
                location = /to-plain { return 302 http://127.0.0.1:\(ports[0])/image; }
                \(settings.extra)
            }
        }
        """
    }

    private static func makeCertificates(in path: String, names: String) throws {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        try run("openssl", ["req", "-x509"] + key + [
            "-keyout", path + "/ca.key", "-out", path + "/ca.pem", "-subj", "/CN=Test authority",
        ])
        for (name, extension_) in [("server", "subjectAltName=" + names), ("client", "extendedKeyUsage=clientAuth")] {
            try run("openssl", ["req", "-x509"] + key + [
                "-keyout", "\(path)/\(name).key", "-out", "\(path)/\(name).pem", "-subj", "/CN=\(name)",
                "-CA", path + "/ca.pem", "-CAkey", path + "/ca.key", "-addext", extension_,
                "-addext", "basicConstraints=critical,CA:FALSE",
            ])
        }
    }

    /// Ports nobody listens on now, on 127.0.0.1.
    private static func freePorts(_ count: Int) throws -> [UInt16] {
        // Held until all are chosen, so that they differ.
        let holders = try (0..<count).map { _ in try FaultServer([]) }
        return holders.map(\.port)
    }
}
