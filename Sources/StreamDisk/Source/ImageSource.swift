/// Where an image comes from: bytes by position. HTTP, a registry, a file.
///
/// All calls block, and may come from several threads at once (a lane each). Faults that may pass are retried inside,
/// with bounds; what is thrown is final. A source never prints; it reports through its `SourceObserver`.
public protocol ImageSource: AnyObject, Sendable {
    /// How a person would name it, without credentials.
    var name: String { get }

    /// Whether others can change the bytes on their way here: a network without TLS.
    var isUnprotected: Bool { get }

    /// First contact: finds out size and abilities, and brings the first bytes. Called once, before `read`.
    ///
    /// - Parameter wantedBytes: how many first bytes would be useful; fewer come when the image is shorter.
    func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead

    /// Delivers the bytes of `range`, all of them and in order, to `sink`, from the calling thread.
    ///
    /// Returns when the last byte was appended. Throws `.stopped` when the sink or the observer's cancellation said so.
    /// When `ImageHead.isSequential`, ranges must come in ascending order from one thread; one that has passed already is
    /// `.unsupported`.
    func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError)

    /// Called when a sequential image has been read as far as it is wanted: checks what is known of the whole, reading on to its
    /// end where that takes it.
    func checkWhole(observer: SourceObserver) throws(SourceError)

    /// The file or block device of this host that the bytes come from, known from `open` on; nil for what comes from elsewhere.
    var localOrigin: LocalOrigin? { get }

    /// Bytes that have come and wait for those before them: fetched, and not delivered yet.
    var earlyBytes: UInt64 { get }

    /// Ends what still runs in the background. May be called more than once; no `read` may run.
    func close()
}

extension ImageSource {
    /// False: for sources that nobody else reaches.
    public var isUnprotected: Bool { false }
    /// Nil: for bytes that come from elsewhere.
    public var localOrigin: LocalOrigin? { nil }
    public var earlyBytes: UInt64 { 0 }
    /// Nothing: for sources of which nothing is known of the whole.
    public func checkWhole(observer: SourceObserver) throws(SourceError) {}
}

/// The first bytes of an image and what is known of the whole.
public struct ImageHead: Sendable {
    /// The bytes from position 0.
    public var bytes: [UInt8]
    /// The size of the whole, nil when the server does not say.
    public var sizeBytes: UInt64?
    /// Whether only one pass from front to back is possible (a server without ranges).
    public var isSequential: Bool
    /// What each `read` under way may keep in memory at most, beside small change: for the sum of what a run needs.
    public var readBufferBytes: Int

    /// For sources of your own.
    public init(bytes: [UInt8], sizeBytes: UInt64?, isSequential: Bool, readBufferBytes: Int = 0) {
        self.bytes = bytes
        self.sizeBytes = sizeBytes
        self.isSequential = isSequential
        self.readBufferBytes = readBufferBytes
    }
}

/// Takes bytes in order. Used by one thread at a time.
public protocol ByteSink: AnyObject, Sendable {
    /// Takes all of `bytes`, waiting for room as long as it must. Throws when nobody wants bytes any more.
    func append(_ bytes: RawSpan) throws(Stopped)
}

/// What a source tells while it works, and how it is stopped.
public struct SourceObserver: Sendable {
    /// Ends the work when it is cancelled.
    public let cancellation: Cancellation
    /// Called on whatever thread reads; must be quick.
    public let report: @Sendable (SourceNote) -> Void

    /// What is told goes to `report`.
    public init(cancellation: Cancellation, report: @escaping @Sendable (SourceNote) -> Void) {
        self.cancellation = cancellation
        self.report = report
    }
}

/// Something a source survived and a person may want to know.
public struct SourceNote: Sendable {
    /// Position of the image at which it happened.
    public let offset: UInt64
    /// How many tries this spot has had.
    public let attempt: Int
    /// Until the next try.
    public let delaySeconds: Double
    /// What happened, in words.
    public let reason: String

    /// For sources of your own.
    public init(offset: UInt64, attempt: Int, delaySeconds: Double, reason: String) {
        self.offset = offset
        self.attempt = attempt
        self.delaySeconds = delaySeconds
        self.reason = reason
    }
}
