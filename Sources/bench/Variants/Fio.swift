import FoundationEssentials

/// One set of options of fio's sequential io_uring write with direct I/O.
struct Fio {
    var blockBytes = 1 << 20
    var depth = 32
    /// Registered buffers and file.
    var isFixed = false
    var registersFile = false
    var polls = false
    var usesKernelThread = false
    /// Memory in huge pages, like the library's. Each request then has a few segments instead of hundreds, which matters more
    /// than anything else here: without it fio is no fair comparison for a writer that uses them.
    var hasHugePages = false

    /// The candidates for fio's best: block size by depth, nothing or everything registered, small and huge pages.
    static var candidates: [Fio] {
        [false, true].flatMap { huge in
            [false, true].flatMap { fixed in
                [(1 << 20, 8), (1 << 20, 32), (4 << 20, 8), (4 << 20, 32)].map { block, depth in
                    var fio = Fio()
                    (fio.blockBytes, fio.depth, fio.isFixed, fio.registersFile) = (block, depth, fixed, fixed)
                    fio.hasHugePages = huge
                    return fio
                }
            }
        }
    }

    init() {}

    init(_ spec: VariantSpec) throws {
        try spec.check(keys: ["bs", "depth", "fixed", "file", "poll", "sqpoll", "huge"])
        blockBytes = try spec.size("bs") ?? 1 << 20
        depth = try spec.int("depth") ?? 32
        isFixed = try spec.flag("fixed") ?? false
        registersFile = try spec.flag("file") ?? false
        polls = try spec.flag("poll") ?? false
        usesKernelThread = try spec.flag("sqpoll") ?? false
        hasHugePages = try spec.flag("huge") ?? false
    }

    var name: String {
        "fio \(blockBytes >> 20)M x \(depth)\(isFixed ? " registered" : "")\(hasHugePages ? " huge pages" : "")"
    }

    /// A description of the options.
    func text(totalBytes: UInt64) -> String {
        let variables = environment.map { "\($0)=\($1)" }
        return (variables + command(device: "DEVICE", totalBytes: totalBytes)).joined(separator: " ")
    }

    /// fio allocates with malloc, for which glibc 2.35 and later requests huge pages when told to (glibc, "Memory Allocation
    /// Tunables"); no setting of the machine is changed for it.
    private var environment: [String: String] { hasHugePages ? ["GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"] : [:] }

    func command(device: String, totalBytes: UInt64) -> [String] {
        var command = [
            "fio", "--name=write", "--filename=\(device)", "--rw=write", "--ioengine=io_uring", "--direct=1",
            "--bs=\(blockBytes)", "--iodepth=\(depth)", "--size=\(totalBytes)", "--scramble_buffers=0",
            "--norandommap=1", "--thread", "--allow_file_create=0", "--output-format=json",
        ]
        if isFixed { command.append("--fixedbufs=1") }
        if registersFile { command.append("--registerfiles=1") }
        if polls { command.append("--hipri=1") }
        if usesKernelThread { command.append("--sqthread_poll=1") }
        return command
    }

    /// By fio's own clock, which starts once its memory is allocated; processor time of the whole process.
    func run(device: String, totalBytes: UInt64) throws -> Measurement {
        let (output, usage) = try Child.run(
            command(device: device, totalBytes: totalBytes), environment: environment)
        // fio may print something before the JSON.
        let json = Data(output.drop { $0 != UInt8(ascii: "{") })
        guard let write = try JSONDecoder().decode(Output.self, from: json).jobs.first?.write, write.runtime > 0,
            write.io_bytes == totalBytes
        else {
            throw BenchError("fio did not write \(totalBytes) bytes")
        }
        var measurement = Measurement(seconds: 0, bytes: totalBytes)
        measurement.take(usage)
        measurement.seconds = Double(write.runtime) / 1000
        return measurement
    }

    /// fio(1), "JSON output".
    private struct Output: Decodable {
        struct Job: Decodable { var write: Write }
        struct Write: Decodable {
            // swift-format-ignore: AlwaysUseLowerCamelCase
            var io_bytes: UInt64  // as fio spells it
            /// Milliseconds.
            var runtime: UInt64
        }
        var jobs: [Job]
    }
}
