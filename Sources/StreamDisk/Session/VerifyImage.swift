/// Compares a disk with an image byte by byte, without writing: every partition that has an image, LBA 0, and both partition
/// tables as `streamImage` would place them.
///
/// The image is fetched, checked and decoded as for writing. The disk may be in use or read-only; `.warning` events then say
/// so. Blocks like `streamImage`, with the phases `preflight`, `verify` and `done`.
///
/// - Parameters:
///   - source: the image; an autoclosure, so an invalid reference throws like any other error. Closed at the end.
///   - path: a block device or a regular file.
/// - Throws: `StreamFault.mismatch` if the contents differ. Everything is compared before it is thrown, so it names the
///   difference with the lowest offset on the disk.
public func verifyImage(
    from source: @autoclosure () throws(SourceError) -> ImageSource, onDisk path: String,
    options: StreamOptions = StreamOptions(), cancellation: Cancellation = Cancellation(),
    onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    try withSession(source, cancellation, disk: .onlyRead, onEvent) { source, reporter throws(StreamFault) in
        try VerifySession(source: source, options: options, reporter: reporter).run(onto: path)
    }
}
