/// Why bytes were refused: what is wrong, and where it stands.
///
/// `place` and `problem` read as one sentence. Text taken from the input is escaped and shortened, so a
/// message is safe to print on a terminal.
public struct FormatError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Which kind of thing is wrong: the same in every release, as a program reads it.
    ///
    /// Later releases add cases: switch over it with a `default`.
    public enum Code: String, Sendable, CaseIterable {
        /// The file is something else: a raw disk, a web page, a tar without `metadata.json`.
        case notCosi
        /// A tar header is invalid.
        case tar
        /// The file ends before what it should hold.
        case truncated
        /// `metadata.json` is not the one asked for: its SHA-384 is another.
        case hash
        /// `metadata.json` is of a version that cannot be streamed.
        case version
        /// `metadata.json` is invalid.
        case metadata
        /// The protective MBR or the GPT is invalid.
        case gpt
        /// Metadata, tar entries and GPT are valid, each on its own, and contradict each other.
        case layout
        /// `metadata.json` names an entry that the tar does not have.
        case entryMissing
        /// The compressed bytes of an image are not those that `metadata.json` gives the SHA-384 of.
        case dataHash
        /// The compressed bytes of an image do not decode to what `metadata.json` says.
        case data
    }

    /// Which kind of thing is wrong.
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

/// Something the field writes although it should not, and which does no harm.
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

/// Text from the input in single quotes: control characters escaped (a name must not drive the terminal),
/// cut at 200 characters (a message must not be as long as its input).
func quoted(_ text: String) -> String {
    "'\(printable(text))'"
}

/// As `quoted` without the quotes: for whatever comes from outside and is shown to a person.
///
/// - Parameter scalarsMax: what is longer is cut off.
package func printable(_ text: String, scalarsMax: Int = 200) -> String {
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

/// A character that shows itself and does nothing to the text around it.
package func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    default: true
    }
}
