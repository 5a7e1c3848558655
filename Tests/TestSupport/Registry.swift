import Foundation
import Glibc

/// Debian's docker-registry on free loopback ports, with storage of its own; it ends with `stop` or the last reference.
///
/// Two processes over one storage: an open one to push to, and the one that a test is about.
final class Registry {
    enum Access {
        case open
        /// `user` and `secret` (htpasswd).
        case basic
        /// Tokens of this server.
        case token(TokenServer)
    }

    let folder: TemporaryFolder
    /// Of the registry that a test is about.
    let port: UInt16
    private let openPort: UInt16
    private var processes: [Process] = []

    /// - Parameters:
    ///   - tls: an nginx whose certificate is used.
    ///   - redirect: where blobs are said to be: a URL with a slash at its end.
    init(_ access: Access = .open, tls: Nginx? = nil, redirect: String? = nil) throws {
        folder = try TemporaryFolder()
        // Held until both are chosen, so that they differ.
        let (first, second) = (try FaultServer([]), try FaultServer([]))
        (port, openPort) = (first.port, second.port)
        first.stop()
        second.stop()
        var lines: [String] = []
        switch access {
        case .open: break
        case .basic:
            // bcrypt of "secret", by crypt(3).
            let users = try folder.write(
                "users", Array("user:$2b$04$MrKTHhcFoR7sHxyPOxpUuuW3hymaJ9rlFsWfG0wi3mdmtad24Y.0e\n".utf8))
            lines.append("auth: {htpasswd: {realm: test, path: \(users)}}")
        case .token(let server):
            lines.append(
                "auth: {token: {realm: \"\(server.url)\", service: test, issuer: test, rootcertbundle: \(server.certificateFile)}}"
            )
        }
        if let redirect {
            lines.append("middleware: {storage: [{name: redirect, options: {baseurl: \"\(redirect)\"}}]}")
        }
        let certificate = tls.map { ", tls: {certificate: \($0.folder.path)/server.pem, key: \($0.folder.path)/server.key}" }
        try start("open", port: openPort)
        try start("tested", port: port, tls: certificate ?? "", lines)
    }

    deinit { stop() }

    /// Not by SIGTERM, which threads of tests block, and what they start inherits that.
    func stop() {
        for process in processes where process.isRunning { kill(process.processIdentifier, SIGKILL) }
        processes = []
    }

    private func start(_ name: String, port: UInt16, tls: String = "", _ lines: [String] = []) throws {
        let text =
            """
            version: 0.1
            log: {level: error, accesslog: {disabled: true}}
            storage: {filesystem: {rootdirectory: \(folder.path)/storage}}
            http: {addr: "127.0.0.1:\(port)", secret: x\(tls)}

            """ + lines.joined(separator: "\n") + "\n"
        let file = try folder.write(name + ".yml", Array(text.utf8))
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["docker-registry", "serve", file]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        processes.append(process)
        // Until it listens.
        try run(
            "bash",
            ["-c", "for i in $(seq 500); do : 2>/dev/null <>/dev/tcp/127.0.0.1/\(port) && exit 0; sleep 0.02; done; exit 1"])
    }

    func reference(_ rest: String, host: String = "127.0.0.1") -> String { "oci://\(host):\(port)/\(rest)" }

    // MARK: Pushing, by curl

    private static let push = """
        base=$1 file=$2 digest=$3
        location=$(curl -sS -f -X POST -D - -o /dev/null "$base/blobs/uploads/" | tr -d '\\r' | sed -n 's/^location: //Ip')
        curl -sS -f -X PUT -H 'Content-Type: application/octet-stream' --data-binary @"$file" "$location&digest=$digest"
        """

    private func base(_ repository: String) -> String { "http://127.0.0.1:\(openPort)/v2/\(repository)" }

    /// Pushes an artifact of these files, a layer each. Returns its manifest's digest and size.
    @discardableResult
    func push(_ repository: String, _ tag: String, layers: [String]) throws -> (digest: String, size: Int) {
        let config = try folder.write("config", Array("{}".utf8))
        var descriptors: [String] = []
        for file in [config] + layers {
            let digest = "sha256:" + (try sha256(of: file))
            let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
            try run("bash", ["-euo", "pipefail", "-c", Self.push, "push", base(repository), file, digest])
            let type = file == config ? "application/vnd.oci.empty.v1+json" : "application/vnd.example.cosi.v1"
            descriptors.append("{\"mediaType\":\"\(type)\",\"digest\":\"\(digest)\",\"size\":\(size)}")
        }
        return try push(
            repository, tag, type: "application/vnd.oci.image.manifest.v1+json",
            "\"config\":\(descriptors[0]),\"layers\":[\(descriptors.dropFirst().joined(separator: ","))]")
    }

    /// Pushes an index of manifests, by architecture.
    @discardableResult
    func pushIndex(
        _ repository: String, _ tag: String, _ manifests: [(architecture: String, digest: String, size: Int)]
    ) throws -> (digest: String, size: Int) {
        let entries = manifests.map {
            "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
                + "\"digest\":\"\($0.digest)\",\"size\":\($0.size),"
                + "\"platform\":{\"architecture\":\"\($0.architecture)\",\"os\":\"linux\"}}"
        }
        return try push(
            repository, tag, type: "application/vnd.oci.image.index.v1+json", "\"manifests\":[\(entries.joined(separator: ","))]")
    }

    private func push(_ repository: String, _ tag: String, type: String, _ rest: String) throws -> (digest: String, size: Int) {
        let text = Array("{\"schemaVersion\":2,\"mediaType\":\"\(type)\",\(rest)}".utf8)
        let file = try folder.write("manifest-" + UUID().uuidString, text)
        try run(
            "curl",
            [
                "-sS", "-f", "-X", "PUT", "-H", "Content-Type: " + type, "--data-binary", "@" + file,
                base(repository) + "/manifests/" + tag,
            ])
        return ("sha256:" + (try sha256(of: file)), text.count)
    }
}

/// A token server for a registry (distribution's token authentication): tokens are signed with the openssl tool.
final class TokenServer: Sendable {
    private let folder: TemporaryFolder
    private let server: FaultServer
    let certificateFile: String

    /// - Parameter wantsUser: gives no token but to `user` with `secret`.
    init(wantsUser: Bool = false) throws {
        let folder = try TemporaryFolder()
        self.folder = folder
        let (key, certificate) = (folder.path + "/token.key", folder.path + "/token.pem")
        certificateFile = certificate
        try run(
            "openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=token", "-keyout", key, "-out",
                certificate,
            ])
        server = try FaultServer([]) { request in
            let isKnown = request.headers["authorization"] == "Basic " + Data("user:secret".utf8).base64EncodedString()
            if wantsUser, !isKnown {
                return FaultServer.Answer.status(401).header("WWW-Authenticate", "Basic realm=\"test\"")
            }
            guard let token = try? Self.token(folder, key, certificate, request.target) else { return .status(500) }
            return FaultServer.Answer(status: 200, body: Array("{\"token\":\"\(token)\",\"expires_in\":300}".utf8))
        }
    }

    var url: String { server.url("/token") }
    var requests: [FaultServer.Request] { server.requests }

    /// A JSON web token (RFC 7519, RS256) for the scope that the request's query names.
    private static func token(
        _ folder: TemporaryFolder, _ key: String, _ certificate: String, _ target: String
    ) throws -> String {
        let query = URLComponents(string: target)?.queryItems ?? []
        let scope = query.first { $0.name == "scope" }?.value?.split(separator: ":").map(String.init) ?? []
        let pem = try String(contentsOfFile: certificate, encoding: .utf8)
        let der = pem.split(separator: "\n").filter { !$0.hasPrefix("-----") }.joined()
        let now = Int(Date().timeIntervalSince1970)
        let header = "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"x5c\":[\"\(der)\"]}"
        let access = "[{\"type\":\"\(scope[0])\",\"name\":\"\(scope[1])\",\"actions\":[\"\(scope[2])\"]}]"
        let claims =
            "{\"iss\":\"test\",\"sub\":\"\",\"aud\":\"test\",\"exp\":\(now + 300),\"nbf\":\(now - 5),\"iat\":\(now),"
            + "\"jti\":\"\(UUID().uuidString)\",\"access\":\(access)}"
        let text = [header, claims].map { urlSafe(Data($0.utf8).base64EncodedString()) }.joined(separator: ".")
        let file = try folder.write(UUID().uuidString, Array(text.utf8))
        let signature = try run("bash", ["-c", "openssl dgst -sha256 -sign \"$1\" <\"$2\" | base64 -w0", "sign", key, file])
        return text + "." + urlSafe(signature)
    }

    private static func urlSafe(_ text: String) -> String {
        let bare = text.trimmingCharacters(in: .whitespacesAndNewlines).replacing("=", with: "")
        return bare.replacing("+", with: "-").replacing("/", with: "_")
    }
}
