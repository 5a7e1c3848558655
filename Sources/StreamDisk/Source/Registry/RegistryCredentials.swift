import CosiFormat
import Glibc

/// A user and a password for a registry, from the files that container tools keep (containers-auth.json(5)).
struct RegistryCredentials: Equatable, Sendable {
    let user: String
    let password: String

    /// What a search found.
    struct Search: Equatable, Sendable {
        var credentials: RegistryCredentials?
        /// For a user whose access was denied: which files were read, and what in them cannot be used.
        var explanation = ""
    }

    /// The files to search, in order.
    struct Files: Equatable, Sendable {
        var paths: [String]
        /// Whether the user named the file, so that it must exist.
        var isNamed = false

        /// - Parameter variable: returns the value of an environment variable; nil if it is not set.
        init(user: uid_t = getuid(), environment variable: (String) -> String?) {
            func folder(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }
            if let file = folder("REGISTRY_AUTH_FILE") {
                (paths, isNamed) = ([file], true)
                return
            }
            // As in Docker, the variable replaces the folder.
            let docker = folder("DOCKER_CONFIG") ?? folder("HOME").map { $0 + "/.docker" }
            // sudo, cron and systemd units do not set the variable. skopeo and podman then use the latter.
            let containers = folder("XDG_RUNTIME_DIR").map { $0 + "/containers" } ?? "/run/containers/\(user)"
            paths = [docker.map { $0 + "/config.json" }, containers + "/auth.json"].compactMap { $0 }
        }

        /// The files that this process's environment names.
        static var ofEnvironment: Files {
            Files { name in unsafe getenv(name).flatMap { unsafe String(validatingCString: $0) } }
        }
    }

    private struct Document: Decodable {
        struct Entry: Decodable {
            let auth: String?
            let username: String?
            let password: String?
            let identitytoken: String?
        }
        let auths: [String: Entry?]?
        let credHelpers: [String: String]?
        let credsStore: String?
    }

    /// Real files have a few entries of a hundred bytes each.
    private static let fileBytesMax = 1 << 20
    /// How long a pipe, such as bash's `<(…)`, may be empty.
    private static let pipeSeconds = 10.0

    /// Searches the files in order. In a file, the longest key counts that is the reference's repository, a leading part of its
    /// path, or its host. Throws if a file cannot be used.
    static func search(for reference: RegistryReference, in files: Files) throws(SourceError) -> Search {
        var notes: [String] = []
        var looked: [String] = []
        for path in files.paths {
            guard let bytes = try read(path, isNamed: files.isNamed) else { continue }
            looked.append(path)
            let document: Document
            do throws(FormatError) {
                document = try JSONDocument(bytes, name: path, bytesMax: fileBytesMax).decode(Document.self)
            } catch {
                // Without the JSON parser's message, which may contain a secret.
                throw SourceError(
                    .unusableFile, source: path, reason: "is no JSON of registries' credentials",
                    advice: .check(.registryCredentials))
            }
            if let entry = entry(for: reference, in: document.auths ?? [:]) {
                if let found = credentials(of: entry) { return Search(credentials: found) }
                if entry.identitytoken?.isEmpty == false { notes.append("an identity token in \(path), which is not used") }
            }
            if let helper = document.credHelpers?[reference.host] ?? document.credsStore, !helper.isEmpty {
                notes.append("the credential helper \(printable(helper, scalarsMax: 40)) named in \(path), which is not run")
            }
        }
        let place =
            looked.isEmpty ? "no file of credentials was found" : "no credentials for it in \(looked.joined(separator: ", "))"
        return Search(explanation: ([place] + notes.map { "there is " + $0 }).joined(separator: "; "))
    }

    /// The contents of a file; nil if it does not exist and need not.
    private static func read(_ path: String, isNamed: Bool) throws(SourceError) -> [UInt8]? {
        do throws(SystemError) {
            return try Descriptor(opening: path, O_RDONLY | O_NONBLOCK)
                .readAll(limitBytes: fileBytesMax, waitSeconds: pipeSeconds)
        } catch {
            if !isNamed, [ENOENT, ENOTDIR].contains(error.code) { return nil }
            let isRefused = [EACCES, EPERM].contains(error.code)
            throw SourceError(
                isRefused ? .notPermitted : .unusableFile, source: path, reason: "\(error)", advice: .check(.registryCredentials))
        }
    }

    private static func entry(for reference: RegistryReference, in auths: [String: Document.Entry?]) -> Document.Entry? {
        var key = reference.host + "/" + reference.repository
        while true {
            if let entry = auths[key] ?? nil { return entry }
            guard let slash = key.lastIndex(of: "/") else { break }
            key = String(key[..<slash])
        }
        // Docker's form of a key is a URL, of which only the host counts.
        let legacy = auths.keys.sorted().first { hostOfURL($0) == reference.host && auths[$0] != nil }
        return legacy.flatMap { auths[$0] ?? nil }
    }

    /// `https://index.docker.io/v1/` is `docker.io`.
    private static func hostOfURL(_ key: String) -> String {
        var rest = key[...]
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        for path in ["/v1/", "/v1", "/v2/", "/v2", "/"] where rest.hasSuffix(path) {
            rest = rest.dropLast(path.count)
            break
        }
        let host = rest.lowercased()
        return ["index.docker.io", "registry-1.docker.io"].contains(host) ? "docker.io" : host
    }

    private static func credentials(of entry: Document.Entry) -> RegistryCredentials? {
        var (user, password) = (entry.username ?? "", entry.password ?? "")
        if let auth = entry.auth, !auth.isEmpty {
            guard let bytes = base64Decoded(auth), let text = String(validating: bytes, as: UTF8.self),
                let colon = text.firstIndex(of: ":")
            else { return nil }
            (user, password) = (String(text[..<colon]), String(text[text.index(after: colon)...]))
            // Docker pads some passwords with NULs.
            while password.last == "\0" { password.removeLast() }
        }
        guard !user.isEmpty, !user.utf8.contains(0), !password.utf8.contains(0) else { return nil }
        return RegistryCredentials(user: user, password: password)
    }
}

/// RFC 4648 §4; nil for anything else. Padding may be missing.
func base64Decoded(_ text: String) -> [UInt8]? {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var digits = Array(text.utf8)
    while digits.last == UInt8(ascii: "="), digits.count % 4 != 1 { digits.removeLast() }
    var (bytes, bits, count): ([UInt8], UInt32, Int) = ([], 0, 0)
    for digit in digits {
        guard let value = alphabet.firstIndex(of: digit) else { return nil }
        bits = (bits << 6 | UInt32(value)) & 0xff_ffff
        count += 6
        if count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
    }
    return digits.count % 4 == 1 ? nil : bytes
}
