import FoundationEssentials
import Glibc

/// The machine and the software that the figures were taken with.
struct Machine: Codable, Equatable {
    var cpu: String
    var cores: Int
    var memoryBytes: UInt64
    var kernel: String
    /// /proc/loadavg before the first run: other load makes figures worthless.
    var loadAverage: String
    var transparentHugePages: String
    /// Versions of libraries and programs; nil for one that is missing.
    var versions: [String: String]
    /// The version of this tree, from `git describe`.
    var revision: String

    static func current() -> Machine {
        let cpu = ((try? readText("/proc/cpuinfo")) ?? "").split(separator: "\n")
            .first { $0.hasPrefix("model name") || $0.hasPrefix("CPU part") }?
            .split(separator: ":").last.map { $0.drop { $0 == " " } }
        return Machine(
            cpu: cpu.map(String.init) ?? "unknown", cores: processors,
            memoryBytes: UInt64(max(sysconf(Int32(_SC_PHYS_PAGES)), 0)) * UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 0)),
            kernel: Child.firstLine(["uname", "-srm"]) ?? "unknown",
            loadAverage: ((try? readText("/proc/loadavg")) ?? "").split(separator: " ").prefix(3).joined(
                separator: " "),
            transparentHugePages: chosen((try? readText("/sys/kernel/mm/transparent_hugepage/enabled")) ?? ""),
            versions: versions(), revision: Child.firstLine(["git", "describe", "--always", "--dirty"]) ?? "unknown")
    }

    static var processors: Int { sysconf(Int32(_SC_NPROCESSORS_ONLN)) }

    private static func versions() -> [String: String] {
        var found: [String: String] = [:]
        for (name, package) in [
            ("liburing", "liburing"), ("libcurl", "libcurl"), ("libzstd", "libzstd"), ("openssl", "libcrypto"),
        ] {
            found[name] = Child.firstLine(["pkg-config", "--modversion", package])
        }
        // Each prints its version somewhere in its first line; nginx prints it on standard error.
        for (name, command) in [
            ("zstd", "zstd --version"), ("nginx", "nginx -v 2>&1"), ("fio", "fio --version"),
            ("curl", "curl --version"),
            ("coreutils", "dd --version"), ("swift", "swift --version 2>&1"),
        ] {
            found[name] = Child.firstLine(["bash", "-c", command]).flatMap(firstVersion)
        }
        return found
    }

    /// The first substring of a line that looks like a version: digits, a point, digits.
    static func firstVersion(in line: String) -> String? {
        line.split(whereSeparator: { !$0.isNumber && $0 != "." }).first { word in
            word.contains(".") && word.first != "." && word.last != "."
        }.map(String.init)
    }

    /// The word in brackets: sysfs marks the value in force that way.
    static func chosen(_ text: String) -> String {
        String(text.drop { $0 != "[" }.dropFirst().prefix { $0 != "]" })
    }
}

/// Reads a small text file whole.
func readText(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
}
