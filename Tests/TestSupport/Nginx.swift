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

    let folder: TemporaryFolder
    let port: UInt16
    let tlsPort: UInt16

    /// The authority that signed the server's certificate, PEM.
    var caFile: String { folder.path + "/ca.pem" }
    /// A client certificate of the same authority, and its key.
    var clientCertificateFile: String { folder.path + "/client.pem" }
    var clientKeyFile: String { folder.path + "/client.key" }
    /// One line a request: status, bytes sent, and the request's range or `-`.
    ///
    /// A line is written after the answer: waits for so many, up to two seconds.
    func accessLog(lines count: Int) -> [String] {
        var lines: [String] = []
        for _ in 0..<200 {
            let text = (try? String(contentsOfFile: folder.path + "/access.log", encoding: .utf8)) ?? ""
            lines = text.split(separator: "\n").map(String.init)
            if lines.count >= count { break }
            usleep(10_000)
        }
        return lines
    }

    init(_ settings: Settings = Settings()) throws {
        folder = try TemporaryFolder()
        let path = folder.path
        try FileManager.default.createDirectory(atPath: path + "/www", withIntermediateDirectories: true)
        try Self.makeCertificates(in: path, names: settings.certificateNames)
        // Nginx goes to the background when its ports are bound. It must not take along what `Process` of other tests
        // waits to see closed, so all files but the standard ones are closed before.
        let start = """
            for file in /proc/self/fd/*; do number=${file##*/}; [ $number -gt 2 ] && eval "exec $number>&-"; done
            exec nginx -p \(path) -e \(path)/error.log -c \(path)/nginx.conf 2> \(path)/start.log
            """
        var ports = try Self.freePorts()
        for attempt in 1...5 {
            try Self.configuration(settings, path, ports.0, ports.1).write(
                toFile: path + "/nginx.conf", atomically: true, encoding: .utf8)
            do {
                try run("bash", ["-c", start])
                break
            } catch  where attempt < 5 {
                // Someone took a port in between.
                ports = try Self.freePorts()
            }
        }
        (port, tlsPort) = ports
    }

    deinit {
        let pidFile = folder.path + "/nginx.pid"
        guard let text = try? String(contentsOfFile: pidFile, encoding: .utf8),
            let id = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines))
        else { return }
        kill(id, SIGTERM)
        // It removes the file last.
        for _ in 0..<200 where FileManager.default.fileExists(atPath: pidFile) { usleep(10_000) }
        if FileManager.default.fileExists(atPath: pidFile) { kill(id, SIGKILL) }
    }

    /// Puts a file into the served folder.
    func serve(_ name: String, _ bytes: [UInt8]) throws {
        _ = try folder.write("www/" + name, bytes)
    }

    func url(_ name: String) -> String { "http://127.0.0.1:\(port)/\(name)" }
    func tlsURL(_ name: String, host: String = "127.0.0.1") -> String { "https://\(host):\(tlsPort)/\(name)" }

    private static func configuration(
        _ settings: Settings, _ path: String, _ port: UInt16, _ tlsPort: UInt16
    ) -> String {
        """
        user root;
        worker_processes 1;
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
            server { listen 127.0.0.1:\(port); \(settings.extra) }
            server {
                listen 127.0.0.1:\(tlsPort) ssl;
                ssl_certificate \(path)/server.pem;
                ssl_certificate_key \(path)/server.key;
                \(settings.wantsClientCertificate ? "ssl_client_certificate \(path)/ca.pem; ssl_verify_client on;" : "")
                location = /to-plain { return 302 http://127.0.0.1:\(port)/image; }
                \(settings.extra)
            }
        }
        """
    }

    private static func makeCertificates(in path: String, names: String) throws {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        try run(
            "openssl",
            ["req", "-x509"] + key + [
                "-keyout", path + "/ca.key", "-out", path + "/ca.pem", "-subj", "/CN=Test authority",
            ])
        for (name, extension_) in [("server", "subjectAltName=" + names), ("client", "extendedKeyUsage=clientAuth")] {
            try run(
                "openssl",
                ["req", "-x509"] + key + [
                    "-keyout", "\(path)/\(name).key", "-out", "\(path)/\(name).pem", "-subj", "/CN=\(name)",
                    "-CA", path + "/ca.pem", "-CAkey", path + "/ca.key", "-addext", extension_,
                    "-addext", "basicConstraints=critical,CA:FALSE",
                ])
        }
    }

    /// Two ports of 127.0.0.1 that nobody listens on now.
    private static func freePorts() throws -> (UInt16, UInt16) {
        // Both held until both are chosen, so that they differ.
        let (first, second) = (try FaultServer([]), try FaultServer([]))
        return (first.port, second.port)
    }
}
