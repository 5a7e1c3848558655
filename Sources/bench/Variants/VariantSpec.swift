import ArgumentParser

/// A variant as given on the command line: `kind` or `kind:key=value,key=value`.
struct VariantSpec: ExpressibleByArgument, Equatable {
    let kind: String
    private let values: [String: String]

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1)
        guard let kind = parts.first else { return nil }
        var values: [String: String] = [:]
        for pair in parts.dropFirst().joined().split(separator: ",") {
            let sides = pair.split(separator: "=", maxSplits: 1)
            guard sides.count == 2, values.updateValue(String(sides[1]), forKey: String(sides[0])) == nil else {
                return nil
            }
        }
        self.kind = String(kind)
        self.values = values
    }

    /// Refuses keys that nothing uses.
    func check(keys: Set<String>) throws {
        let unknown = Set(values.keys).subtracting(keys).subtracting(["label", "at-least", "at-most"])
        guard unknown.isEmpty else {
            throw ValidationError(
                "'\(kind)' has no key \(unknown.sorted().joined(separator: ", ")); it has: "
                    + (keys.isEmpty ? "none" : keys.sorted().joined(separator: ", ")))
        }
    }

    subscript(key: String) -> String? { values[key] }

    func int(_ key: String) throws -> Int? {
        guard let text = values[key] else { return nil }
        guard let value = Int(text), value > 0 else {
            throw ValidationError("\(kind): \(key)=\(text) is not a number above 0.")
        }
        return value
    }

    /// A number of bytes: `65536`, `512K`, `4M`, `1G`.
    func size(_ key: String) throws -> Int? {
        guard let text = values[key] else { return nil }
        guard let value = sizeBytes(text) else {
            throw ValidationError("\(kind): \(key)=\(text) is not a size like 4M.")
        }
        return value
    }

    func flag(_ key: String) throws -> Bool? {
        switch values[key] {
        case nil: return nil
        case "on": return true
        case "off": return false
        case let text?: throw ValidationError("\(kind): \(key)=\(text) is neither on nor off.")
        }
    }

    func choice<Value: RawRepresentable & CaseIterable>(_ key: String, _: Value.Type) throws -> Value?
    where Value.RawValue == String {
        guard let text = values[key] else { return nil }
        guard let value = Value(rawValue: text) else {
            let all = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("\(kind): \(key)=\(text) is none of: \(all).")
        }
        return value
    }

    /// The target for the first variant's speed relative to this one.
    func target() throws -> Comparison.Target? {
        func number(_ key: String) throws -> Double? {
            guard let text = values[key] else { return nil }
            guard let value = Double(text) else { throw ValidationError("\(kind): \(key)=\(text) is not a number.") }
            return value
        }
        let target = Comparison.Target(atLeast: try number("at-least"), atMost: try number("at-most"))
        return target.atLeast == nil && target.atMost == nil ? nil : target
    }

    /// Its name in tables.
    var label: String {
        if let label = values["label"] { return label }
        let settings = values.filter { !["at-least", "at-most"].contains($0.key) }.map {
            "\($0.key)=\(fileName($0.value))"
        }
        return ([kind] + settings.sorted()).joined(separator: " ")
    }
}

/// `65536`, `512K`, `4M`, `1G` in bytes.
func sizeBytes(_ text: String) -> Int? {
    let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    let unit = text.last.flatMap { units[$0] }
    guard let number = Int(unit == nil ? text[...] : text.dropLast()), number > 0 else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
    return overflow ? nil : bytes
}

/// The part after the last slash.
func fileName(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
