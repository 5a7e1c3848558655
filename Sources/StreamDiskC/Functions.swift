// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CStreamDisk
import Glibc
import StreamDisk

// The functions of streamdisk.h, whose comments are their contract. The compiler checks each one against the header.

// SAFETY of this file: a handle is a `Handle` that streamdisk_new retained and that streamdisk_free alone releases; the
// contract forbids calls during or after that. Strings are NUL-terminated and are read only during the call.

private func handle(_ pointer: OpaquePointer?) -> Handle? {
    unsafe pointer.map { unsafe Unmanaged<Handle>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
}

/// Nil for NULL and for a string that is not UTF-8.
private func text(_ pointer: UnsafePointer<CChar>?) -> String? {
    guard let pointer = unsafe pointer else { return nil }
    return unsafe String(validatingCString: pointer)
}

@c @implementation public func streamdisk_new(_ image: UnsafePointer<CChar>?) -> OpaquePointer? {
    guard let image = unsafe image else { return nil }
    return unsafe OpaquePointer(Unmanaged.passRetained(Handle(image: text(image))).toOpaque())
}

@c @implementation public func streamdisk_free(_ pointer: OpaquePointer?) {
    guard let pointer = unsafe pointer else { return }
    unsafe Unmanaged<Handle>.fromOpaque(UnsafeRawPointer(pointer)).release()
}

@c @implementation public func streamdisk_set(
    _ pointer: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
    unsafe handle(pointer)?.set(text(name), text(value)) ?? ExitCodes.usage
}

@c @implementation public func streamdisk_on_event(
    _ pointer: OpaquePointer?, _ function: streamdisk_event_fn?, _ user: UnsafeMutableRawPointer?
) {
    let listener = unsafe function.map { unsafe Listener(function: $0, user: user) }
    unsafe handle(pointer)?.listen(listener)
}

@c @implementation public func streamdisk_cancel(_ pointer: OpaquePointer?) { unsafe handle(pointer)?.cancel() }

// MARK: Operations

@c @implementation public func streamdisk_stream(_ pointer: OpaquePointer?, _ disk: UnsafePointer<CChar>?) -> Int32 {
    let path = unsafe text(disk)
    let isNull = unsafe disk == nil
    let refusal = isNull || path?.isEmpty == false ? nil : noPath
    return unsafe handle(pointer)?.run("stream", target: path, refusal: refusal) {
        image, settings, cancellation, onEvent throws(StreamError) in
        .ran(
            try streamImage(
                from: try makeImageSource(image, options: settings.source),
                to: path.map { .path($0) } ?? .smallestDisk(matching: settings.hints), options: settings.stream,
                cancellation: cancellation, onEvent: onEvent))
    } ?? ExitCodes.usage
}

@c @implementation public func streamdisk_verify(_ pointer: OpaquePointer?, _ disk: UnsafePointer<CChar>?) -> Int32 {
    let path = unsafe text(disk) ?? ""
    return unsafe handle(pointer)?.run("verify", target: path, refusal: path.isEmpty ? noPath : nil) {
        image, settings, cancellation, onEvent throws(StreamError) in
        .ran(
            try verifyImage(
                from: try makeImageSource(image, options: settings.source), onDisk: path, options: settings.stream,
                cancellation: cancellation, onEvent: onEvent))
    } ?? ExitCodes.usage
}

@c @implementation public func streamdisk_inspect(
    _ pointer: OpaquePointer?, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> Int32 {
    unsafe json?.pointee = nil
    let isWanted = unsafe json != nil
    var found = ""
    let code = unsafe handle(pointer)?.run("inspect", refusal: isWanted ? nil : "there is no place for the JSON") {
        image, settings, cancellation, onEvent throws(StreamError) in
        let contents = try inspectImage(
            from: try makeImageSource(image, options: settings.source), options: settings.stream, cancellation: cancellation,
            onEvent: onEvent)
        found = contents.json.pretty
        return .inspected(contents, isHashCompared: settings.stream.hash != .ignored)
    }
    guard let code else { return ExitCodes.usage }
    return unsafe code == ExitCodes.done ? give(found, json) : code
}

@c @implementation public func streamdisk_stream_partition(
    _ pointer: OpaquePointer?, _ partition: UnsafePointer<CChar>?, _ device: UnsafePointer<CChar>?
) -> Int32 {
    let path = unsafe text(device) ?? ""
    let reference = unsafe text(partition).flatMap { PartitionReference($0) }
    let refusal = path.isEmpty ? noPath : reference == nil ? "the partition's name is missing, empty or not UTF-8" : nil
    let regions = reference.map { [RegionTarget(partition: $0, path: path)] } ?? []
    return unsafe handle(pointer)?.run("stream", regions: regions, refusal: refusal) {
        image, settings, cancellation, onEvent throws(StreamError) in
        .ran(
            try streamRegions(
                from: try makeImageSource(image, options: settings.source), to: regions, options: settings.stream,
                cancellation: cancellation, onEvent: onEvent))
    } ?? ExitCodes.usage
}

@c @implementation public func streamdisk_disks(_ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> Int32 {
    guard unsafe json != nil else { return ExitCodes.usage }
    unsafe json?.pointee = nil
    let hosts = HostDisks()
    do throws(DiskSelectionError) { try hosts.expectReadable() } catch { return StreamFault.disk(error).code }
    return unsafe give(hosts.json().pretty, json)
}

private let noPath = "the disk's name is missing, empty or not UTF-8: name a disk or a file"

/// Copies a string for the caller, who frees it.
private func give(_ text: String, _ out: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> Int32 {
    guard let copy = unsafe strdup(text) else { return ExitCodes.software }
    unsafe out?.pointee = copy
    return ExitCodes.done
}

// MARK: What a call left

@c @implementation public func streamdisk_error_code(_ pointer: OpaquePointer?) -> Int32 {
    unsafe handle(pointer)?.failure?.code ?? ExitCodes.done
}

@c @implementation public func streamdisk_error_kind(_ pointer: OpaquePointer?) -> UnsafePointer<CChar>? {
    unsafe UnsafePointer((handle(pointer)?.failure?.kind ?? Failure.none).pointer)
}

@c @implementation public func streamdisk_error_message(_ pointer: OpaquePointer?) -> UnsafePointer<CChar>? {
    unsafe UnsafePointer((handle(pointer)?.failure?.message ?? Failure.none).pointer)
}

@c @implementation public func streamdisk_error_offset(_ pointer: OpaquePointer?) -> Int64 {
    unsafe handle(pointer)?.failure?.offset ?? -1
}

@c @implementation public func streamdisk_disk_state(_ pointer: OpaquePointer?) -> UnsafePointer<CChar>? {
    unsafe UnsafePointer((handle(pointer)?.diskState ?? .untouched).text.pointer)
}

@c @implementation public func streamdisk_string_free(_ string: UnsafeMutablePointer<CChar>?) { unsafe free(string) }

private let version = CText(ProductVersion.current)

@c @implementation public func streamdisk_version() -> UnsafePointer<CChar>? { unsafe UnsafePointer(version.pointer) }
