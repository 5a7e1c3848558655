/// An image as bytes by offset, from an HTTP server, a registry or a file.
///
/// All calls block. They may come from several threads at once, one for each image being fetched. Transient faults are retried
/// inside, within limits; a thrown error is final. A source never prints; it reports through its `SourceObserver`.
package protocol ByteSource: AnyObject, Sendable {
    /// Its name for messages, without credentials.
    var name: String { get }

    /// Whether others can change the bytes on their way here: true for a network without TLS.
    var isUnprotected: Bool { get }

    /// The first contact: determines size and abilities, and returns the first bytes. Called once, before `read`.
    ///
    /// - Parameter wantedBytes: how many of the first bytes are useful; fewer are returned if the image is shorter.
    func open(wantedBytes: Int, observer: SourceObserver) throws(SourceError) -> ImageHead

    /// Delivers all bytes of `range`, in order, to `sink`, on the calling thread.
    ///
    /// Returns when the last byte was appended. Throws `.stopped` if the sink refuses bytes or the observer's cancellation is
    /// set. If `ImageHead.isSequential`, ranges must come in ascending order from one thread; a range that has already passed
    /// throws `.unsupported`.
    func read(_ range: Range<UInt64>, into sink: any ByteSink, observer: SourceObserver) throws(SourceError)

    /// Called when a sequential image has been read as far as needed. Checks the size and hash of the whole, if they are known,
    /// and for that reads on to the end.
    func checkWhole(observer: SourceObserver) throws(SourceError)

    /// The file or block device of this host that the bytes come from, known from `open` on; nil if they come from elsewhere.
    var localOrigin: LocalOrigin? { get }

    /// Bytes that arrived before the ones they follow: fetched, but not delivered yet.
    var earlyBytes: UInt64 { get }

    /// Ends all background work. May be called more than once, but not during a `read`.
    func close()
}

extension ByteSource {
    /// False: nobody else can change the bytes.
    package var isUnprotected: Bool { false }
    /// Nil: the bytes are not on this host.
    package var localOrigin: LocalOrigin? { nil }
    package var earlyBytes: UInt64 { 0 }
    /// Does nothing: the default for sources without a known size and hash of the whole.
    package func checkWhole(observer: SourceObserver) throws(SourceError) {}
}

/// The first bytes of an image, and what is known about all of it.
package struct ImageHead: Sendable {
    /// The bytes from offset 0.
    package var bytes: [UInt8]
    /// The size of the image in bytes; nil if the server does not state it.
    package var sizeBytes: UInt64?
    /// Whether only a single pass is possible (a server without ranges).
    package var isSequential: Bool
    /// The most memory that each `read` in progress keeps, apart from small amounts. Counts towards the memory of a run.
    package var readBufferBytes: Int

    /// See the properties.
    package init(bytes: [UInt8], sizeBytes: UInt64?, isSequential: Bool, readBufferBytes: Int = 0) {
        self.bytes = bytes
        self.sizeBytes = sizeBytes
        self.isSequential = isSequential
        self.readBufferBytes = readBufferBytes
    }
}

/// Receives bytes in order. Used by one thread at a time.
package protocol ByteSink: AnyObject, Sendable {
    /// Takes all of `bytes`, waiting for room if needed. Throws if no more bytes are wanted.
    func append(_ bytes: RawSpan) throws(Stopped)
}

/// How a source reports, and how it is stopped.
package struct SourceObserver: Sendable {
    /// Stops the work when cancelled.
    package let cancellation: Cancellation
    /// Called on any thread that reads; must return quickly.
    package let report: @Sendable (SourceNote) -> Void

    /// Reports are passed to `report`.
    package init(cancellation: Cancellation, report: @escaping @Sendable (SourceNote) -> Void) {
        self.cancellation = cancellation
        self.report = report
    }
}

/// A fault from which a source recovered, for the user's information.
public struct SourceNote: Sendable {
    /// Byte position in the image at which it happened.
    public let offset: UInt64
    /// Number of attempts at this position.
    public let attempt: Int
    /// Time until the next attempt.
    public let delaySeconds: Double
    /// What happened, in words.
    public let reason: String

    /// See the properties.
    package init(offset: UInt64, attempt: Int, delaySeconds: Double, reason: String) {
        self.offset = offset
        self.attempt = attempt
        self.delaySeconds = delaySeconds
        self.reason = reason
    }

    /// The same note with another reason.
    func saying(_ reason: String) -> SourceNote {
        SourceNote(offset: offset, attempt: attempt, delaySeconds: delaySeconds, reason: reason)
    }
}
