/// What a user can set to mend a fault. The library does not know what that is called where it runs.
public enum Setting: Sendable, CaseIterable {
    /// The target: ``StreamTarget/path(_:)`` instead of the smallest disk.
    case disk
    /// ``StreamOptions/hash``.
    case hash
    /// ``StreamOptions/memoryLimitBytes``.
    case memoryLimit
    /// ``SourceOptions/caFile``.
    case authorities
    /// ``SourceOptions/clientCertificateFile``.
    case clientCertificate
    /// ``SourceOptions/clientKeyFile``.
    case clientKey
    /// ``SourceOptions/usesPlainHTTP``.
    case plainHTTP
}

/// How a front-end speaks to its users, where the library's own words are not enough.
public struct Wording: Sendable {
    /// Why the transfer was cancelled.
    public var cancelled: String
    /// What a setting is called here, such as an option of a command line; nil where it cannot be set.
    public var name: @Sendable (Setting) -> String?

    /// The library's own: "interrupted", and settings without a name.
    public init(cancelled: String = "interrupted", name: @escaping @Sendable (Setting) -> String? = { _ in nil }) {
        self.cancelled = cancelled
        self.name = name
    }

    /// The names in parentheses, to be put behind what they stand for; empty without a name.
    func naming(_ settings: Setting...) -> String {
        let names = settings.compactMap(name)
        return names.isEmpty ? "" : " (\(names.joined(separator: ", ")))"
    }
}
