import CosiFormat
import Glibc

/// Request headers given as `@FILE`, which keeps them out of the process list and the shell's history.
public enum HeaderFile {
    /// Why a file cannot be used. Never contains text from the file.
    public struct Refusal: Error {
        let path: String
        let problem: String
        /// The exit code.
        package let code: Int32

        /// `@FILE: why`.
        public var message: String { "@\(printable(path)): \(problem)" }
    }

    /// The limit of a file: more than any server accepts.
    package static let sizeBytesMax = 64 << 10
    /// How long a pipe, such as bash's `<(…)`, may be empty.
    private static let timeoutSeconds = 10.0

    /// The headers that `header` stands for: itself or, for `@FILE`, the lines of that file, which is read now.
    public static func expanded(_ header: String) throws(Refusal) -> [String] {
        header.hasPrefix("@") ? try lines(String(header.dropFirst())) : [header]
    }

    /// The headers in a file, one per line. Blank lines are left out, and lines may end in CRLF.
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
