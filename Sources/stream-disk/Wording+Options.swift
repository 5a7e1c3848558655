import StreamDisk

extension Wording {
    /// With the option names of the command line.
    static func options(cancelledAs words: String = "interrupted") -> Wording {
        Wording(cancelled: words) { setting in
            switch setting {
            case .disk: "--disk"
            case .selection: "--select"
            case .hash: "--hash"
            case .memoryLimit: "--memory-limit"
            case .authorities: "--cacert FILE"
            case .clientCertificate: "--cert FILE"
            case .clientKey: "--key FILE"
            case .plainHTTP: "--plain-http"
            case .headers: "--header @FILE"
            }
        }
    }
}
