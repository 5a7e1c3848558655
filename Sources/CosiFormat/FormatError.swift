/// Why bytes were refused: what is wrong, and where.
///
/// `place` and `problem` read as one sentence. Text from the input is escaped and shortened, so a message is safe to print
/// on a terminal.
public struct FormatError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of error: stable across releases, for programs.
    ///
    /// Later releases add cases: switch over it with a `default`.
    public enum Code: String, Sendable, CaseIterable {
        /// The file is not a COSI image: a raw disk, a web page, a tar without `metadata.json`.
        case notCosi
        /// A tar header is invalid.
        case tar
        /// The file ends too early.
        case truncated
        /// The SHA-384 of `metadata.json` is not the expected one.
        case hash
        /// `metadata.json` has a version that cannot be streamed.
        case version
        /// `metadata.json` is invalid.
        case metadata
        /// The protective MBR or the GPT is invalid.
        case gpt
        /// Metadata, tar entries and GPT are each valid, but contradict each other.
        case layout
        /// `metadata.json` names an entry that is not in the tar.
        case entryMissing
        /// The SHA-384 of an image's compressed bytes is not the one in `metadata.json`.
        case dataHash
        /// An image's compressed bytes do not decode, or not to the size in `metadata.json`.
        case data
    }

    /// The kind of error.
    public let code: Code
    /// The field or entry, such as `metadata.json: disk.gptRegions[2].image.sha384` or `tar entry 'images/a.zst'`.
    public let place: String
    /// What is wrong with it and what it should be, such as `is 95 hex digits, must be 96`.
    public let problem: String

    /// What is wrong, and where.
    package init(_ code: Code, place: String, problem: String) {
        self.code = code
        self.place = place
        self.problem = problem
    }

    public var description: String { "\(place) \(problem)" }
}

/// A deviation from the format that does no harm.
public struct FormatWarning: Sendable, Equatable, CustomStringConvertible {
    /// As in ``FormatError/place``.
    public let place: String
    /// As in ``FormatError/problem``.
    public let message: String

    /// What is wrong, and where.
    package init(place: String, message: String) {
        self.place = place
        self.message = message
    }

    public var description: String { "\(place) \(message)" }
}

/// Text from the input in single quotes: control characters escaped, so that they cannot control the terminal, and cut after
/// 200 characters, so that a message stays short.
func quoted(_ text: String) -> String {
    "'\(printable(text))'"
}

/// Like `quoted`, without the quotes: for any external text that a person reads.
///
/// - Parameter scalarsMax: longer text is cut.
public func printable(_ text: String, scalarsMax: Int = 200) -> String {
    var result = ""
    for (count, scalar) in text.unicodeScalars.enumerated() {
        guard count < scalarsMax else { return result + "…" }
        if isPrintable(scalar) {
            result.unicodeScalars.append(scalar)
        } else {
            result += "\\u{" + String(scalar.value, radix: 16) + "}"
        }
    }
    return result
}

/// A printable character that does not affect the text around it.
package func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    default: true
    }
}
