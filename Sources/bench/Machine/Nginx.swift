import FoundationEssentials
import Glibc

/// An nginx on a free loopback port that serves one folder until this process ends.
enum Nginx {
    /// Serves each of `files` under its given name.
    ///
    /// - Parameter folder: where the server's own files go.
    static func start(serving files: [String: String], in folder: String, limitRate: String? = nil) throws -> String {
        let served = folder + "/www"
        try FileManager.default.createDirectory(atPath: served, withIntermediateDirectories: true)
        for (name, path) in files {
            try FileManager.default.createSymbolicLink(
                atPath: "\(served)/\(name)", withDestinationPath: URL(filePath: path).standardizedFileURL.path)
        }
        return try start(serving: served, state: folder, limitRate: limitRate)
    }

    /// - Parameters:
    ///   - folder: the folder to serve; the server's own files go to `state`.
    ///   - limitRate: bytes per second for each connection (limit_rate), such as `20m`.
    /// - Returns: its URL, without a trailing slash.
    private static func start(serving folder: String, state: String, limitRate: String?) throws -> String {
        let configurationFile = state + "/nginx.conf"
        let command = ["nginx", "-e", state + "/error.log", "-p", state, "-c", configurationFile]
        var port = 0
        var failure: (any Error)?
        for _ in 0..<20 {
            port = Int.random(in: 20_000..<32_000)
            let text = configuration(port: port, folder: folder, state: state, limitRate: limitRate)
            try Data(text.utf8).write(to: URL(filePath: configurationFile))
            // The configuration test binds the port, so it fails if the port is taken.
            do {
                try Child.run(command + ["-t", "-q"])
                failure = nil
                break
            } catch { failure = error }
        }
        if let failure { throw failure }
        // The server ends with this process, however this process ends.
        _ = try Child(["setpriv", "--pdeathsig", "KILL"] + command)
        // The file appears once the port is bound.
        for _ in 0..<1000 where !FileManager.default.fileExists(atPath: state + "/nginx.pid") { usleep(5000) }
        return "http://127.0.0.1:\(port)"
    }

    static func configuration(port: Int, folder: String, state: String, limitRate: String?) -> String {
        """
        daemon off;
        master_process off;
        pid \(state)/nginx.pid;
        error_log \(state)/error.log;
        events { worker_connections 64; }
        http {
            access_log off;
            sendfile on;
            tcp_nopush on;
            default_type application/octet-stream;
            client_body_temp_path \(state)/t1;
            proxy_temp_path \(state)/t2;
            fastcgi_temp_path \(state)/t3;
            uwsgi_temp_path \(state)/t4;
            scgi_temp_path \(state)/t5;
            \(limitRate.map { "limit_rate \($0);" } ?? "")
            server {
                listen 127.0.0.1:\(port);
                root "\(folder)";
            }
        }

        """
    }
}
