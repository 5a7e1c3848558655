// The hardware properties of a disk, from sysfs: vendor, model, serial number, transport.

extension HostDisks {
    func vendor(_ folder: String) -> String? {
        // SCSI and ATA. virtio and others have a number here.
        guard let text = tree.text(folder + "/device/vendor"), !text.hasPrefix("0x") else { return nil }
        return text
    }

    func model(_ folder: String) -> String? {
        // SCSI, ATA and NVMe first, then MMC.
        tree.text(folder + "/device/model") ?? tree.text(folder + "/device/name")
    }

    func serial(_ folder: String) -> String? {
        // virtio first, then NVMe and MMC.
        if let text = tree.text(folder + "/serial") ?? tree.text(folder + "/device/serial") { return text }
        // SCSI and ATA: vital product data page 0x80: type, page, length (two bytes), text (SPC-5 §7.7.18).
        guard let page = try? tree.bytes(of: folder + "/device/vpd_pg80", limitBytes: 65536), page.count > 4 else {
            return nil
        }
        let length = Int(page[2]) << 8 | Int(page[3])
        let text = trimmed(String(decoding: page[4...].prefix(length), as: UTF8.self))
        return text.isEmpty ? nil : text
    }

    func wwid(_ folder: String) -> String? {
        // NVMe first, then SCSI and ATA.
        tree.text(folder + "/wwid") ?? tree.text(folder + "/device/wwid")
    }

    /// Taken from the NVMe transport if there is one, else from the parent devices, nearest first.
    func transport(_ name: String, _ folder: String) -> String? {
        if name.hasPrefix("nvme") { return nvmeTransport(folder) }
        let device = tree.resolved(folder + "/device") ?? tree.resolved(folder) ?? ""
        var isSCSI = false
        for part in device.split(separator: "/").reversed() {
            if let found = transports.first(where: { isCounted(part, $0.prefix) }) { return found.name }
            guard isCounted(part, "host") else { continue }
            isSCSI = true
            // A host of network disks is recognised by its class, whatever lies between.
            if let found = networkHosts.first(where: { tree.exists("/sys/class/\($0)_host/\(part)") }) { return found }
        }
        return isSCSI ? "scsi" : nil
    }

    /// pcie (returned as `nvme`), or over fabrics tcp, rdma, fc or loop. A multipath disk has one transport per controller,
    /// found below the subsystem. If one of them is a network, the disk counts as a network disk.
    private func nvmeTransport(_ folder: String) -> String? {
        let device = folder + "/device"
        let below = tree.names(in: device).filter { isCounted($0[...], "nvme") }.map { "\(device)/\($0)" }
        let found = ([device] + below).compactMap { tree.text($0 + "/transport") }
        return (found.first { nvmeFabrics.contains($0) }).map { "nvme-" + $0 } ?? "nvme"
    }

    func dmaAlignment(_ folder: String) -> Int {
        let mask: Int = tree.number(folder + "/queue/dma_alignment") ?? 511
        return mask >= 0 && mask < 1 << 20 ? mask + 1 : 512
    }

    /// Whether the transport is a network.
    static func isNetwork(_ transport: String) -> Bool {
        networkHosts.contains(transport) || transport.hasPrefix("nvme-")
    }
}

private let networkHosts = ["iscsi", "fc", "srp"]

private let nvmeFabrics = ["tcp", "rdma", "fc", "loop"]

/// The kernel's device names, each followed by a number (Documentation/driver-api/scsi.rst and the drivers).
private let transports: [(prefix: String, name: String)] = [
    ("session", "iscsi"), ("rport-", "fc"), ("end_device-", "sas"), ("ata", "sata"), ("usb", "usb"),
    ("virtio", "virtio"), ("mmc", "mmc"), ("vbd-", "xen"),
]

/// Whether `part` is `prefix` followed by a number, and perhaps more after a colon or dash.
private func isCounted(_ part: Substring, _ prefix: String) -> Bool {
    guard part.hasPrefix(prefix), let digit = part.dropFirst(prefix.count).utf8.first else { return false }
    return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit)
}

enum DiskKind {
    case candidate, bootArea, other

    /// Derived from the kernel's name (Documentation/admin-guide/devices.txt).
    init(of name: String) { self = kind(of: name) }
}

private func kind(of name: String) -> DiskKind {
    if ["sd", "hd", "vd", "xvd"].contains(where: { name.hasPrefix($0) && isLetters(name.dropFirst($0.count)) }) {
        return .candidate
    }
    if name.hasPrefix("nvme") {
        let parts = name.dropFirst(4).split(separator: "n", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy(isDigits) ? .candidate : .other
    }
    guard name.hasPrefix("mmcblk") else { return .other }
    let rest = name.dropFirst(6).drop { $0.isASCII && $0.isWholeNumber }
    if rest.isEmpty { return .candidate }
    return rest.hasPrefix("boot") || rest == "rpmb" ? .bootArea : .other
}

private func isLetters(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }
}

private func isDigits(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
}
