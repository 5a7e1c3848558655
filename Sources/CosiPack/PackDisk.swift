import CosiFormat
package import StreamDisk

/// Makes a COSI image of a GPT disk. Blocks; only reads the source.
///
/// - Parameters:
///   - cancellation: calling `cancel` on it, from any thread, ends the call with `.image(.cancelled)`.
///   - onEvent: called on the calling thread.
/// - Throws: why there is no image. Then no file of the output's name was made, and one that was there is untouched.
package func packDisk(
    _ request: PackRequest, to output: PackOutput, options: PackOptions, cancellation: Cancellation = Cancellation(),
    onEvent: (PackEvent) -> Void
) throws(PackFault) -> PackedImage {
    onEvent(.phase(.preflight))
    let preflight = try PackPreflight(request, output: output.path, cancellation, onEvent)
    onEvent(.plan(preflight.contents))
    onEvent(.phase(.write))
    let result = try write(preflight, to: output, options: options, cancellation: cancellation, onEvent: onEvent)
    onEvent(.phase(.done))
    return PackedImage(path: output.path, contents: preflight.contents, result: result)
}

/// What an image of a disk would hold. Blocks; only reads, but for the temporary copy of a virtual disk.
package func inspectDisk(
    _ request: PackRequest, cancellation: Cancellation = Cancellation(), onEvent: (PackEvent) -> Void
) throws(PackFault) -> PackContents {
    try PackPreflight(request, output: nil, cancellation, onEvent).contents
}

private func write(
    _ preflight: PackPreflight, to output: PackOutput, options: PackOptions, cancellation: Cancellation,
    onEvent: (PackEvent) -> Void
) throws(PackFault) -> PackResult {
    // A source that was changed ends the run as a cancellation does, before the image gets its name.
    let stop = Cancellation()
    var change: PackFault?
    var isFinishing = false
    func tell(_ progress: PackProgress) {
        if progress.phase == .finish {
            if !isFinishing { onEvent(.phase(.commit)) }
            isFinishing = true
            do throws(PackFault) {
                try preflight.source.expectUnchanged()
            } catch {
                change = error
                stop.cancel()
            }
        }
        onEvent(.progress(progress))
    }
    do throws(PackError) {
        return try cancellation.withHandler({ stop.cancel() }) { () throws(PackError) in
            try writeCosi(preflight.input, to: output, options: options, cancellation: stop, onProgress: tell)
        }
    } catch {
        throw change ?? .image(error)
    }
}
