import CosiFormat

// The one place where errors become sentences for a user: what, where, why, and what to do.

extension StreamError: CustomStringConvertible {
    /// The message on one line.
    public var description: String { message(Wording()) }

    /// The message in a front-end's wording.
    public func message(_ wording: Wording) -> String {
        var text = cause.message(wording)
        switch disk {
        case .untouched: text += ". Nothing was written"
        case .onlyRead: break
        case .withoutTable:
            text +=
                ". The disk was partly written and carries no partition table, so nothing can boot from it by mistake; "
                + "run again to write it anew"
        // Of a run onto regions, which touches no table.
        case .uncertain where phase == .write || phase == .verify:
            text +=
                ". What was to be written is incomplete or unchecked: do not use it; no partition table around it was touched; "
                + "run again to write it anew"
        case .uncertain:
            text += ". The disk failed while its partition table was changed: do not trust what is on it"
        case .written: text += ". The disk carries the whole image and its partition table"
        }
        return text
    }
}

extension StreamFault: CustomStringConvertible {
    /// What went wrong, where and why, without the state of the disk.
    public var description: String { message(Wording()) }

    /// The same in a front-end's wording.
    public func message(_ wording: Wording) -> String {
        switch self {
        case .image(let error): "invalid image: \(error.place): \(error.problem)" + error.advice(wording)
        case .architecture(let image, let host):
            "the image is for \(image), this host is \(host?.description ?? "of another kind"); "
                + "name the disk\(wording.naming(.disk)) to prepare it for another machine"
        case .source(let error): error.sentence(wording)
        case .device(let error): error.sentence
        case .mismatch(let mismatch): mismatch.sentence
        case .disk(let error): error.sentence(wording)
        case .partition(let error): error.sentence
        case .memory(let needed, let limit):
            "decoding needs \(sizeText(needed)) of memory, the limit is \(sizeText(limit.bytes)): \(limit.origin.sentence(wording))"
        case .cancelled: wording.cancelled
        case .host(let operation, let cause): "cannot \(operation): \(cause)"
        }
    }
}

extension MemoryLimit.Origin {
    fileprivate func sentence(_ wording: Wording) -> String {
        switch self {
        case .asked: "what was asked for" + wording.naming(.memoryLimit)
        case .host: "what this host has left; free some, or say how much may be used" + wording.naming(.memoryLimit)
        case .controlGroup(let path): "what the control group \(path) leaves; raise its limit"
        case .addressSpace: "what is left of the process's address space; raise its limit (ulimit -v)"
        case .data: "what is left of the process's data; raise its limit (ulimit -d)"
        }
    }
}

extension FormatError {
    /// Explains what the hash covers, for a user whose hash does not match.
    fileprivate func advice(_ wording: Wording) -> String {
        guard code == .hash else { return "" }
        return "; " + (wording.name(.hash).map { "\($0) takes that" } ?? "the hash to give is that")
            + " of \(CosiLayout.metadataName), as 'inspect' shows it, not of the whole file"
    }
}

extension DiskSelectionError {
    fileprivate func sentence(_ wording: Wording) -> String {
        // Without a path, the automatic selection failed.
        guard let path else {
            if kind == .noneMatches { return reason + "; ask for what one of them is" + wording.naming(.selection) }
            return reason + "; attach or free a disk, or name one that is only used when named" + wording.naming(.disk)
        }
        let text = "\(path): \(reason)"
        switch kind {
        case _ where isChosen:
            return text + "; of the disks that fit it is the smallest, and no other is taken in its place: "
                + (kind == .busy ? "wait for it" : "mend this") + ", or name a disk" + wording.naming(.disk)
        case .isSource: return text + "; name another disk, or read the image from elsewhere"
        default: return text
        }
    }
}

extension PartitionError {
    fileprivate var sentence: String {
        let list = partitions.joined(separator: ", ")
        return switch kind {
        case .notFound: "the image has no partition '\(reference)'; it has \(partitions.isEmpty ? "none" : list)"
        case .ambiguous: "several partitions of the image are called '\(reference)': \(list); name one of them by its number"
        case .noImage:
            "the image has no bytes for partition '\(reference)'; it has them for \(partitions.isEmpty ? "none" : list)"
        case .repeated: "partition \(list) is asked for more than once ('\(reference)' the last time); name each one once"
        }
    }
}

extension SourceError {
    fileprivate func sentence(_ wording: Wording) -> String {
        let place = offset.flatMap { $0 > 0 ? "\(source) at byte \($0)" : nil } ?? source
        let hint = advice?.hint(wording).map { "; " + $0 }
        return switch kind {
        case .notFound: "no such image: \(place): \(reason); check its name and place"
        case .unreachable:
            "cannot fetch the image: \(place): \(reason)" + (hint ?? "; check the address and the network, and try again")
        case .notPermitted: "not permitted to read \(advice?.file(wording) ?? "the image"): \(place): \(reason)" + (hint ?? "")
        case .unusableFile: "cannot use \(advice?.file(wording) ?? "a file"): \(place): \(reason)"
        case .unsupported: "the server cannot serve this image: \(place): \(reason)"
        case .changed where isEnd: "the image is cut off: \(place): \(reason)"
        case .changed: "the image changed while it was read: \(place): \(reason)"
        case .digest: "not the image that was named: \(place): \(reason)"
        case .manifest: "not an image of one file: \(place): \(reason)"
        case .invalidReference: "not an image reference: \(place): \(reason)"
        case .stopped: wording.cancelled
        }
    }
}

extension SourceError.Advice {
    /// What the user can do.
    fileprivate func hint(_ wording: Wording) -> String? {
        switch self {
        case .trustAuthority: "name the authority that signed it" + wording.naming(.authorities)
        case .checkClock: "check this host's clock, and the server's certificate"
        case .useCertifiedName: "use the server's name that its certificate is for"
        case .giveClientCertificate: "give one that it accepts" + wording.naming(.clientCertificate, .clientKey)
        case .giveCredentials: "send what it asks for, such as a token" + wording.naming(.headers)
        case .tryLater: "try again later"
        case .agreeOnTLS:
            "the server may want a client certificate\(wording.naming(.clientCertificate, .clientKey)), "
                + "or speak no TLS from version 1.2 on"
        case .usePlainHTTP:
            "check the port; a server without TLS is reached with http://"
                + (wording.name(.plainHTTP).map { ", a registry with \($0)" } ?? "")
        case .useTLS: "begin the address with https://" + (wording.name(.plainHTTP).map { ", or leave out \($0)" } ?? "")
        case .logIn:
            "log in to the registry (skopeo login, docker login), or name a file with its credentials in REGISTRY_AUTH_FILE"
        case .check: nil
        }
    }

    /// The option file that is at fault.
    fileprivate func file(_ wording: Wording) -> String? {
        guard case .check(let file) = self else { return nil }
        return switch file {
        case .authorities: "the file of trusted authorities" + wording.naming(.authorities)
        case .clientCertificate: "the client certificate" + wording.naming(.clientCertificate)
        case .clientKey: "the client certificate's key" + wording.naming(.clientKey)
        case .registryCredentials: "the file of registries' credentials"
        }
    }
}

extension DiskMismatch {
    fileprivate var sentence: String {
        let place = area?.description ?? "it"
        let range = "\(lengthBytes == 1 ? "1 byte" : "\(lengthBytes) bytes") at byte \(offset)"
        switch expectation {
        case .written: return "\(path) failed: \(place) reads back other bytes than were written, in \(range)"
        case .image:
            let more = count > 1 ? " (the first of \(count) differences)" : ""
            return "\(path) does not hold this image: \(place) has other bytes, in \(range)\(more)"
        }
    }
}

extension DiskIOError {
    fileprivate var sentence: String {
        let action =
            switch operation {
            case .open: "opening it"
            case .write: "a write"
            case .zero: "zeroing"
            case .read: "a read"
            case .flush: "a flush of its cache"
            case .close: "closing it"
            }
        guard let offset, let lengthBytes else { return "\(path) failed: \(action): \(cause)" }
        return "\(path) failed: \(action) of \(lengthBytes) bytes at byte \(offset): \(cause)"
    }
}
