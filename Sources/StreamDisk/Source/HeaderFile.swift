import CosiFormat
import Glibc

/// `@FILE` as a header: request headers out of the list of processes and the shell's history.
package enum HeaderFile {
    /// Why a file gives no headers; its text is never repeated.
    package struct Refusal: Error {
        package let path: String
        package let problem: String
        /// The exit code.
        package let code: Int32

        /// `@FILE: why`.
        package var message: String { "@\(printable(path)): \(problem)" }
    }

    /// More than any server takes.
    package static let sizeBytesMax = 64 << 10
    /// A pipe, such as bash's `<(…)`, may take a moment.
    private static let timeoutSeconds = 10.0

    /// What a header as it was given stands for: itself, or for `@FILE` the lines of that file, which is read now.
    package static func expanded(_ header: String) throws(Refusal) -> [String] {
        header.hasPrefix("@") ? try lines(String(header.dropFirst())) : [header]
    }

    /// The headers in a file, one a line; blank lines are left out, and lines may end in CRLF. Its text is never repeated.
    package static func lines(_ path: String) throws(Refusal) -> [String] {
        guard let text = String(validating: try bytes(path), as: UTF8.self) else { throw fault(path, "it is not UTF-8 text") }
        var headers: [String] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            if line.allSatisfy(\.isWhitespace) { continue }
            if let refusal = SourceOptions.refusal(ofHeader: String(line)) { throw fault(path, "line \(index + 1) \(refusal)") }
            headers.append(String(line))
        }
        guard !headers.isEmpty else { throw fault(path, "there is no header in it") }
        return headers
    }

    private static func bytes(_ path: String) throws(Refusal) -> [UInt8] {
        do throws(SystemError) {
            return try Descriptor(opening: path, O_RDONLY | O_NONBLOCK)
                .readAll(limitBytes: sizeBytesMax, waitSeconds: timeoutSeconds)
        } catch {
            switch error.code {
            case EFBIG: throw fault(path, "it is larger than \(shortSizeText(UInt64(sizeBytesMax)))")
            case EAGAIN: throw fault(path, "nothing came of it for \(Int(timeoutSeconds)) seconds")
            default: throw failure(path, error.code)
            }
        }
    }

    private static func failure(_ path: String, _ code: Int32) -> Refusal {
        let cause = unsafe String(cString: strerror(code))
        return fault(path, cause, code: code == EACCES || code == EPERM ? ExitCodes.notPermitted : ExitCodes.usage)
    }

    private static func fault(_ path: String, _ problem: String, code: Int32 = ExitCodes.usage) -> Refusal {
        Refusal(path: path, problem: problem, code: code)
    }
}
