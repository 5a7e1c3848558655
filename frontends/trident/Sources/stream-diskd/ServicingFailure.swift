import Glibc
import StreamDisk
import TridentProtocol

/// Why a servicing failed, as the clients of the service know it.
struct ServicingFailure: Error {
    let kind: Trident_V1_TridentErrorKind
    /// The cause as a word for programs.
    let subkind: String
    /// The cause, for people.
    let cause: String
    /// The cause and what it means for the disk.
    let report: String
    private let line: Int

    init(_ kind: Trident_V1_TridentErrorKind, _ subkind: String, _ cause: String, report: String? = nil, line: Int = #line) {
        self.kind = kind
        self.subkind = subkind
        self.cause = cause
        self.report = report ?? cause + ". Nothing was written"
        self.line = line
    }

    var message: Trident_V1_TridentError {
        var error = Trident_V1_TridentError()
        error.kind = kind
        error.subkind = subkind
        error.message = report
        error.errorMessage = cause
        error.location = .with {
            $0.path = #fileID
            $0.line = UInt32(clamping: line)
        }
        return error
    }

    init(_ error: StreamError, _ wording: Wording) {
        let (kind, subkind) = Self.words(for: error)
        self.init(kind, subkind, error.cause.message(wording), report: error.message(wording))
    }

    /// The library's codes in the service's words.
    private static func words(for error: StreamError) -> (Trident_V1_TridentErrorKind, String) {
        switch error.cause {
        case .image(let fault):
            switch fault.code {
            case .version, .gpt, .layout: (.invalidInputError, "derive-host-configuration")
            case .entryMissing: (.invalidInputError, "corrupt-os-image")
            case .data, .dataHash: (.servicingError, "deploy-images")
            case .notCosi, .tar, .truncated, .hash, .metadata: (.invalidInputError, "load-cosi")
            }
        case .architecture: (.invalidInputError, "mismatched-architecture")
        // Until the first write the image is being loaded, then it is being deployed.
        case .source: error.disk == .untouched ? (.invalidInputError, "load-cosi") : (.servicingError, "deploy-images")
        case .disk(let fault) where fault.kind == .notPermitted: checkRoot
        case .disk where error.disk == .untouched: (.unsupportedConfigurationError, "no-suitable-disk")
        case .disk, .device, .mismatch: writing(error.phase)
        case .host(_, let cause) where [EPERM, EACCES].contains(cause.code): checkRoot
        case .partition, .memory, .cancelled, .host: (.internalError, "internal")
        }
    }

    private static let checkRoot = (
        Trident_V1_TridentErrorKind.executionEnvironmentMisconfigurationError, "check-root-privileges"
    )

    private static func writing(_ phase: StreamPhase) -> (Trident_V1_TridentErrorKind, String) {
        switch phase {
        case .invalidate, .commit: (.servicingError, "create-partitions")
        case .preflight, .write, .verify, .done: (.servicingError, "deploy-images")
        }
    }
}
