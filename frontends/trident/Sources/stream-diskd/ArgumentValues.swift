public import ArgumentParser
public import StreamDisk

// Values that the library reads, as arguments.

extension ByteCount: @retroactive ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension TimeSpan: @retroactive ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public var defaultValueDescription: String { description }
}
