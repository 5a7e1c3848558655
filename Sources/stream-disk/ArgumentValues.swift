public import ArgumentParser
public import StreamDisk

// Types of the library that parse arguments.

extension ByteCount: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public var defaultValueDescription: String { description }
}

extension TimeSpan: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public var defaultValueDescription: String { description }
}

extension EngineName: ExpressibleByArgument {}
