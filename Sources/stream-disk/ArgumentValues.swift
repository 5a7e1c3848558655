import ArgumentParser
import StreamDisk

// Values that the library reads, as arguments.

extension ByteCount: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension TimeSpan: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public var defaultValueDescription: String { description }
}

extension EngineName: ExpressibleByArgument {}
