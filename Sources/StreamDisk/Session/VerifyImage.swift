/// Compares a disk with an image, byte for byte, and writes nothing: every partition that has an image, LBA 0, and both
/// partition tables as `streamImage` would place them.
///
/// The image is fetched, checked and decoded as for writing. The disk may be in use or read-only, of which `.warning`s tell.
/// Blocks like `streamImage`, with the phases `preflight`, `verify` and `done`.
///
/// - Parameters:
///   - source: the image, made here so that a reference that makes no sense is an error like any other; closed at the end.
///   - path: a block device or a regular file.
/// - Throws: `StreamFault.mismatch` when the disk holds other bytes. All of it is compared before, so that what is named is
///   the first difference by its place on the disk.
public func verifyImage(
    from source: @autoclosure () throws(SourceError) -> any ImageSource, onDisk path: String,
    options: StreamOptions = StreamOptions(), cancellation: Cancellation = Cancellation(),
    onEvent: (StreamEvent) -> Void = { _ in }
) throws(StreamError) -> StreamResult {
    try withSession(source, cancellation, disk: .onlyRead, onEvent) { source, reporter throws(StreamFault) in
        try VerifySession(source: source, options: options, reporter: reporter).run(onto: path)
    }
}
