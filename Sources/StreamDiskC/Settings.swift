import StreamDisk

/// The options that `streamdisk_set` sets, by their long names on the command line.
struct Settings: Sendable {
    private(set) var stream = StreamOptions()
    private(set) var source = SourceOptions()
    /// What an automatically selected disk must match.
    private(set) var hints: [DiskHint] = []
    private var hash = "ignored"
    private var engine = EngineName.auto

    /// Takes a value. Returns why it was refused, nil if it was taken.
    private typealias Setter = @Sendable (inout Settings, String) -> String?

    /// One row for each option.
    private static let table: [String: Setter] = [
        "hash": { settings, text in
            guard let hash = ExpectedHash(text) else { return ExpectedHash.refusal(of: text) ?? "is none" }
            (settings.hash, settings.stream.hash) = (text, hash)
            return nil
        },
        "memory-limit": {
            take(ByteCount($1)?.bytes, "is no size, such as 512M or 1.5G") { $0.stream.memoryLimitBytes = $1 }(&$0)
        },
        "engine": {
            take(EngineName(rawValue: $1), "is none of auto, io_uring, pwrite") {
                ($0.engine, $0.stream.writeEngine) = ($1, $1.engine)
            }(&$0)
        },
        "verify": { take(flag($1), "is neither true nor false") { $0.stream.readsBack = $1 }(&$0) },
        "reuse": { take(ReuseMode(rawValue: $1), "is none of auto, always, never") { $0.stream.reuse = $1 }(&$0) },
        "seed": { settings, text in
            if text.isEmpty { return "is empty; name a disk or a file" }
            settings.stream.seeds.append(text)
            return nil
        },
        "dry-run": { take(flag($1), "is neither true nor false") { $0.stream.isDryRun = $1 }(&$0) },
        "select": { settings, text in
            guard let hint = DiskHint(text) else { return DiskHint.refusal(of: text) ?? "cannot be read" }
            settings.hints.append(hint)
            return nil
        },
        "plain-http": { take(flag($1), "is neither true nor false") { $0.source.usesPlainHTTP = $1 }(&$0) },
        "retry-timeout": { take(seconds($1), noTime) { $0.source.retryTimeoutSeconds = $1 }(&$0) },
        "stall-timeout": { take(seconds($1), noTime) { $0.source.stallTimeoutSeconds = $1 }(&$0) },
        "connections": {
            take(connections($1), "is not 1 to \(SourceOptions.connectionsMax)") { $0.source.connections = $1 }(&$0)
        },
        "cacert": { take($1, "") { $0.source.caFile = $1 }(&$0) },
        "cert": { take($1, "") { $0.source.clientCertificateFile = $1 }(&$0) },
        "key": { take($1, "") { $0.source.clientKeyFile = $1 }(&$0) },
        "header": { settings, text in
            do throws(HeaderFile.Refusal) {
                if !text.hasPrefix("@"), let refusal = SourceOptions.refusal(ofHeader: text) { return refusal }
                settings.source.headers += try HeaderFile.expanded(text)
                return nil
            } catch {
                return error.message
            }
        },
    ]

    /// Sets an option. Returns why it was refused, nil if it was set. The text never repeats a value that may be secret.
    mutating func set(_ name: String, _ text: String) -> String? {
        guard let setter = Self.table[name] else { return "there is no option '\(name)'" }
        return setter(&self, text).map { "the option '\(name)' \($0)" }
    }

    /// Why an operation cannot run with these settings; nil if it can.
    ///
    /// - Parameter namesTarget: whether the caller named what is written.
    func refusal(namesTarget: Bool) -> String? {
        if source.clientKeyFile != nil, source.clientCertificateFile == nil {
            return "the option 'key' takes its certificate with it: set 'cert' too"
        }
        return namesTarget && !hints.isEmpty
            ? "the option 'select' chooses a disk, and one is named: name none, or leave out 'select'" : nil
    }

    /// For the `start` event; without the values of headers.
    var fields: [String: JSONValue] {
        [
            "hash": .text(hash), "engine": .text(engine.rawValue),
            "memoryLimitBytes": stream.memoryLimitBytes.map { .count($0) } ?? .null, "dryRun": .flag(stream.isDryRun),
            "verify": .flag(stream.readsBack), "reuse": .text(stream.reuse.rawValue),
            "seeds": .list(stream.seeds.map { .text($0) }),
            "select": .list(hints.map { .text($0.text) }),
            "plainHttp": .flag(source.usesPlainHTTP), "retryTimeoutSeconds": .number(source.retryTimeoutSeconds),
            "stallTimeoutSeconds": .number(source.stallTimeoutSeconds), "connections": .count(UInt64(source.connections)),
            "cacert": .optional(source.caFile), "cert": .optional(source.clientCertificateFile),
            "key": .optional(source.clientKeyFile), "headerCount": .count(UInt64(source.headers.count)),
        ]
    }

    // MARK: Values

    private static func take<Value>(
        _ value: Value?, _ refusal: String, _ apply: @escaping (inout Settings, Value) -> Void
    ) -> (inout Settings) -> String? {
        { settings in
            guard let value else { return refusal }
            apply(&settings, value)
            return nil
        }
    }

    private static let noTime = "is no time above 0 and at most a year, such as 90, 30s, 5m or 1.5h"

    private static func seconds(_ text: String) -> Double? { TimeSpan(text).flatMap { $0.isUsable ? $0.seconds : nil } }

    private static func flag(_ text: String) -> Bool? { text == "true" ? true : text == "false" ? false : nil }

    private static func connections(_ text: String) -> Int? {
        Int(text).flatMap { (1...SourceOptions.connectionsMax).contains($0) ? $0 : nil }
    }
}

extension Wording {
    /// With the option names that `streamdisk_set` takes.
    static let options = Wording { setting in
        switch setting {
        case .hash: "hash"
        case .memoryLimit: "memory-limit"
        case .authorities: "cacert"
        case .clientCertificate: "cert"
        case .clientKey: "key"
        case .headers: "header"
        case .plainHTTP: "plain-http"
        case .selection: "select"
        default: nil
        }
    }
}
