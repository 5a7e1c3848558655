/// A condition on the disk to select, such as `serial=S64ANS0T` or `size>=500G`.
///
/// The keys are those of OpenStack Ironic's root device hints: `serial`, `wwn`, `model`, `vendor`, `name` (a path, the kernel's
/// name, or a link below /dev/disk), `by_path`, `rotational` (`true` or `false`) and `size`.
public struct DiskHint: Sendable, Equatable {
    /// The property of a disk that a hint is about.
    package enum Key: String, Sendable, CaseIterable {
        /// ``DiskInfo/serial``.
        case serial
        /// ``DiskInfo/wwid``, with or without its type prefix (`naa.`, `eui.`, `0x`).
        case wwn
        /// ``DiskInfo/model``.
        case model
        /// ``DiskInfo/vendor``.
        case vendor
        /// ``DiskInfo/path``, ``DiskInfo/name`` or one of ``DiskInfo/links``.
        case name
        /// One of ``DiskInfo/links`` under /dev/disk/by-path, with or without the folder.
        case byPath = "by_path"
        /// ``DiskInfo/isRotational``: `true` or `false`.
        case rotational
        /// ``DiskInfo/sizeBytes``, with `>=`, `<=` or `==` before the number.
        case size

        /// Whether it is about file names, which are compared with regard to case.
        var isPath: Bool { self == .name || self == .byPath }
    }

    enum Condition: Sendable, Equatable {
        /// Compared with the disk's text, both in lower case. Paths are compared as they are.
        case equals(String)
        case contains(String)
        case isTrue(Bool)
        /// A range of sizes in bytes.
        case within(ClosedRange<UInt64>)
    }

    /// The property that it is about.
    package let key: Key
    let condition: Condition
    /// Key and value as the user gave them.
    package let text: String

    /// Reads KEY=VALUE; nil if that is invalid, and ``refusal(of:)`` says why.
    ///
    /// Texts are compared without regard to case, but names and paths with it: `/dev/disk/by-label/DATA` is not `…/data`. `s==`
    /// before a text also means that it must be equal, and `<in>` that the disk's text must contain it.
    ///
    /// Sizes are written `500G` or `1.5T`, in powers of 1024, or `512B`. A number without a unit is in GiB, as in Ironic. A
    /// comparison (`>=`, `<=`, `==`) replaces the `=` or follows it; without one, the size must be equal. The disk's size is
    /// first cut off after the last digit given: 465.7 GiB is equal to `465G` and to `465.7G`.
    public init?(_ text: String) {
        guard case .hint(let hint) = Self.read(text) else { return nil }
        self = hint
    }

    /// Why `text` is not a valid hint, and what to give instead; nil if it is valid.
    public static func refusal(of text: String) -> String? {
        guard case .refusal(let reason) = read(text) else { return nil }
        return reason
    }

    /// Whether it identifies one disk, so that giving it amounts to naming the disk.
    var namesDisk: Bool {
        switch (key, condition) {
        case (.serial, .equals), (.wwn, .equals), (.name, .equals), (.byPath, .equals): true
        default: false
        }
    }

    // MARK: Reading

    private init(_ key: Key, _ condition: Condition, _ text: String) {
        self.key = key
        self.condition = condition
        self.text = text
    }

    private enum Reading { case hint(DiskHint), refusal(String) }

    private static func read(_ text: String) -> Reading {
        let text = trimmed(text)
        let name = text.prefix { $0.isLetter || $0 == "_" }
        let keys = Key.allCases.map(\.rawValue).joined(separator: ", ")
        guard let key = Key(rawValue: name.lowercased()) else {
            return .refusal("tells nothing by which disks are chosen: give KEY=VALUE, KEY being one of \(keys)")
        }
        var value = text[name.endIndex...].drop(while: \.isWhitespace)
        // `size>=500G` is `size=>=500G`.
        if value.hasPrefix("=") {
            value.removeFirst()
        } else if key != .size || !value.hasPrefix(">=") && !value.hasPrefix("<=") {
            let comparisons = key == .size ? ", such as \(key.rawValue)>=500G" : ""
            return .refusal("has no = between its key and its value: give \(key.rawValue)=VALUE\(comparisons)")
        }
        let condition = condition(key, trimmed(String(value)))
        if trimmed(String(value)).isEmpty || condition == .equals("") || condition == .contains("") {
            return .refusal("has no value")
        }
        guard let condition else {
            return .refusal(
                key == .size
                    ? "is no size: give a number and K, M, G or T (without a letter it counts GiB), and >=, <= or == before it"
                    : "is neither true nor false")
        }
        return .hint(DiskHint(key, condition, text))
    }

    private static func condition(_ key: Key, _ value: String) -> Condition? {
        let condition = textCondition(key.isPath ? value : value.lowercased())
        switch (key, condition) {
        case (.wwn, .equals(let text)): return .equals(bareWWN(text))
        case (.byPath, .equals(let text)) where !text.isEmpty && !text.hasPrefix("/"): return .equals(byPathFolder + text)
        case (.serial, _), (.wwn, _), (.model, _), (.vendor, _), (.name, _), (.byPath, _): return condition
        case (.rotational, .equals("true")), (.rotational, .equals("yes")), (.rotational, .equals("1")): return .isTrue(true)
        case (.rotational, .equals("false")), (.rotational, .equals("no")), (.rotational, .equals("0")): return .isTrue(false)
        case (.rotational, _): return nil
        case (.size, _): return sizeCondition(value)
        }
    }

    private static func textCondition(_ text: String) -> Condition {
        if let rest = text.without("<in>") { return .contains(rest) }
        // In `model==X`, the first = was already read as the key's.
        return .equals(text.without("s==") ?? text.without("=") ?? text)
    }

    private static func sizeCondition(_ text: String) -> Condition? {
        let comparison = [">=", "<=", "==", "="].first { text.hasPrefix($0) } ?? ""
        guard let (bytes, stepBytes) = size(text.without(comparison) ?? text) else { return nil }
        let last = bytes + stepBytes - 1
        switch comparison {
        case ">=": return .within(bytes...UInt64.max)
        case "<=": return .within(0...last)
        default: return .within(bytes...last)
        }
    }

    /// A size, and the step of its last digit, both in bytes; nil if it is not a size, or from 8 PiB on: that is a number of
    /// bytes without its unit.
    private static func size(_ text: String) -> (bytes: UInt64, stepBytes: UInt64)? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let shifts = ["b": 0, "": 30, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30, "t": 40, "tib": 40]
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard let shift = shifts[trimmed(String(text[digits.endIndex...])).lowercased()], parts.count <= 2,
            parts.allSatisfy({ !$0.isEmpty }), let number = Double(digits)
        else { return nil }
        var step = Double(UInt64(1) << UInt64(shift))
        let bytes = number * step
        if parts.count == 2 { for _ in parts[1] { step /= 10 } }
        guard bytes < 0x1p53 else { return nil }
        return (UInt64(bytes.rounded(.up)), UInt64(max(step, 1)))
    }

    private static let byPathFolder = "/dev/disk/by-path/"

    /// Without the type prefix: sysfs writes `naa.5000c500…`, udev `0x5000c500…` and `wwn-0x5000c500…`.
    private static func bareWWN(_ text: String) -> String {
        var rest = text[...]
        for prefix in ["wwn-", "nvme-", "naa.", "eui.", "0x"] where rest.hasPrefix(prefix) { rest = rest.dropFirst(prefix.count) }
        return String(rest)
    }
}

extension DiskHint {
    /// Why this disk does not meet the hint; nil if it does.
    func rejection(of disk: DiskInfo) -> DiskRejection? {
        let (isMet, has) = compare(disk)
        return isMet ? nil : .notSelected(key: key.rawValue, has: has, hint: text)
    }

    /// Whether the disk meets it, and the disk's own value; nil if that is unknown.
    private func compare(_ disk: DiskInfo) -> (isMet: Bool, has: String?) {
        switch key {
        case .serial: (isMet(by: disk.serial), disk.serial)
        case .model: (isMet(by: disk.model), disk.model)
        case .vendor: (isMet(by: disk.vendor), disk.vendor)
        case .wwn: (isMet(by: disk.wwid.map { Self.bareWWN($0.lowercased()) }), disk.wwid)
        case .name: (([disk.path, disk.name] + disk.links).contains { isMet(by: $0) }, disk.path)
        case .byPath: (paths(disk).contains { isMet(by: $0) }, paths(disk).first)
        case .rotational: (condition == .isTrue(disk.isRotational), disk.isRotational ? "true" : "false")
        case .size: (isMet(bySize: disk.sizeBytes), sizeText(disk.sizeBytes))
        }
    }

    private func paths(_ disk: DiskInfo) -> [String] { disk.links.filter { $0.hasPrefix(Self.byPathFolder) } }

    private func isMet(by text: String?) -> Bool {
        guard let text = key.isPath ? text : text?.lowercased() else { return false }
        return switch condition {
        case .equals(let wanted): text == wanted
        case .contains(let wanted): text.contains(wanted)
        case .isTrue, .within: false
        }
    }

    private func isMet(bySize bytes: UInt64) -> Bool {
        if case .within(let range) = condition { range.contains(bytes) } else { false }
    }
}

extension String {
    /// The text after a prefix, trimmed; nil if it does not begin with the prefix.
    fileprivate func without(_ prefix: String) -> String? {
        hasPrefix(prefix) ? trimmed(String(dropFirst(prefix.count))) : nil
    }
}

extension [DiskHint] {
    /// The hints as the user gave them, for messages.
    package var text: String { map(\.text).joined(separator: ", ") }
}

extension DiskInfo {
    /// The disk with the obstacles that it has when selected by these hints.
    ///
    /// If a hint identifies the disk, obstacles that only prevent automatic selection do not count. Being in use always does.
    package func selected(by hints: [DiskHint]) -> DiskInfo {
        let isNamed = hints.contains(where: \.namesDisk)
        var disk = self
        disk.obstacles =
            hints.compactMap { $0.rejection(of: self) } + obstacles.filter { !(isNamed && $0.isForChoiceOnly) }
        return disk
    }
}
