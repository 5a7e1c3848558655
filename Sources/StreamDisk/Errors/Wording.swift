/// A setting that a user can change to correct a fault. The library does not know its name in a front-end.
public enum Setting: Sendable, CaseIterable {
    /// The target: ``StreamTarget/path(_:)`` instead of the smallest disk.
    case disk
    /// What is asked of the disk: the hints of ``StreamTarget/smallestDisk(matching:)``.
    case selection
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
    /// ``SourceOptions/headers``.
    case headers
}

/// How a front-end words its messages where the library's own words do not suffice.
public struct Wording: Sendable {
    /// Why the transfer was cancelled.
    package var cancelled: String
    /// The front-end's name for a setting, such as a command-line option; nil if it cannot be set there.
    package var name: @Sendable (Setting) -> String?

    /// The library's defaults: "interrupted", and settings without a name.
    public init(cancelled: String = "interrupted", name: @escaping @Sendable (Setting) -> String? = { _ in nil }) {
        self.cancelled = cancelled
        self.name = name
    }

    /// The names in parentheses, to follow what they refer to; empty if there are none.
    func naming(_ settings: Setting...) -> String {
        let names = settings.compactMap(name)
        return names.isEmpty ? "" : " (\(names.joined(separator: ", ")))"
    }
}
