public import ArgumentParser
public import StreamDisk

// Types of the library that parse arguments.

extension ByteCount: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    /// As a user writes it.
    public var defaultValueDescription: String {
        for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] as [(UInt64, String)] where bytes >= 1 << shift {
            if bytes % (1 << shift) == 0 { return "\(bytes >> shift)\(unit)" }
        }
        return "\(bytes)"
    }
}

extension TimeSpan: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public var defaultValueDescription: String { description }
}

extension EngineName: ExpressibleByArgument {}
extension ReuseMode: ExpressibleByArgument {}
