import Foundation
import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("Available memory") struct AvailableMemoryTests {
    /// - Parameter files: below the root; numbers are written as they are.
    private func limits(
        _ files: [String: String], addressSpaceMax: UInt64? = nil, dataMax: UInt64? = nil, askedBytes: UInt64? = nil
    ) throws -> [MemoryLimit] {
        try withTemporaryFolder { folder in
            let tree = try FakeTree(in: folder)
            for (path, text) in files { try tree.write(path, text + "\n") }
            let memory = AvailableMemory(
                tree: HostFiles(root: folder.path), addressSpaceMax: addressSpaceMax, dataMax: dataMax)
            return MemoryLimits(askedBytes: askedBytes, memory: memory).all
        }
    }

    private func group(_ path: String, max: UInt64, used: UInt64, cache: UInt64 = 0, high: String = "max") -> [String: String] {
        [
            path + "/memory.max": "\(max << 20)", path + "/memory.high": high, path + "/memory.current": "\(used << 20)",
            path + "/memory.stat": "anon 1\nfile \(cache << 20)\nslab 5\ninactive_file \((cache / 4) << 20)\n"
                + "active_file \((cache - cache / 4) << 20)",
        ]
    }

    private func mount(_ root: String, _ point: String) -> String {
        "30 23 0:26 \(root) \(point) rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
    }

    private func controlGroup(_ path: String, _ mebibytes: UInt64) -> MemoryLimit {
        MemoryLimit(bytes: mebibytes << 20, origin: .controlGroup(path: path))
    }

    @Test("Of the host a quarter is left to others, unless it was said how much may be used")
    func host() throws {
        let files = ["proc/meminfo": "MemTotal:   9000 kB\nMemAvailable:   4000 kB\nSwapFree: 7 kB"]
        #expect(try limits(files) == [MemoryLimit(bytes: 3000 << 10, origin: .host)])
        #expect(
            try limits(files, askedBytes: 5) == [
                MemoryLimit(bytes: 4000 << 10, origin: .host), MemoryLimit(bytes: 5, origin: .asked),
            ])
        #expect(try limits([:]) == [])
    }

    @Test("Version 2: every group up to the root, what can be taken back not counted as used")
    func version2() throws {
        var files = [
            "proc/self/cgroup": "0::/a/b/c", "proc/self/mountinfo": mount("/", "/sys/fs/cgroup"),
            "sys/fs/cgroup/memory.stat": "anon 7", "sys/fs/cgroup/a/b/c/memory.max": "max",
            "sys/fs/cgroup/a/b/c/memory.high": "max",
        ]
        files.merge(group("sys/fs/cgroup/a/b", max: 200, used: 150, cache: 100)) { $1 }
        files.merge(group("sys/fs/cgroup/a", max: 500, used: 170, high: "\(300 << 20)")) { $1 }
        #expect(
            try limits(files) == [controlGroup("/sys/fs/cgroup/a/b", 150), controlGroup("/sys/fs/cgroup/a", 130)])
    }

    @Test("Version 1: the same by its own names")
    func version1() throws {
        let folder = "/sys/fs/cgroup/memory"
        let files = [
            "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/x",
            "proc/self/mountinfo": "33 30 0:29 / \(folder) rw - cgroup cgroup rw,cpu,memory\n"
                + "34 30 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
            "\(folder)/a/b/memory.limit_in_bytes": "\(200 << 20)", "\(folder)/a/b/memory.usage_in_bytes": "\(90 << 20)",
            "\(folder)/a/b/memory.stat": "inactive_file 9\ntotal_inactive_file \(30 << 20)\ntotal_active_file \(10 << 20)",
            "\(folder)/a/memory.limit_in_bytes": "9223372036854771712",
            "\(folder)/memory.limit_in_bytes": "9223372036854771712",
        ]
        #expect(try limits(files) == [controlGroup(folder + "/a/b", 150)])
    }

    @Test("In a container, by whichever part of the tree is mounted and named")
    func containers() throws {
        let point = "/sys/fs/cgroup"
        for (path, root, folder) in [
            // A namespace of its own: its group is the root, of path and mount alike.
            ("/", "/", point),
            ("/below", "/", point + "/below"),
            // None: the path is the host's, and so is the mount's root.
            ("/docker/1", "/docker/1", point),
            ("/docker/1/below", "/docker/1", point + "/below"),
            // Another namespace's: both lead upwards.
            ("/../1/below", "/../1", point + "/below"),
            ("/../2", "/", point),
            // A path that does not lead through the mount.
            ("/docker/12", "/docker/1", point),
        ] {
            var files = ["proc/self/cgroup": "0::" + path, "proc/self/mountinfo": mount(root, point)]
            files.merge(group(String(folder.dropFirst()), max: 100, used: 60)) { $1 }
            #expect(try limits(files) == [controlGroup(folder, 40)], "\(path) below \(root)")
        }
    }

    @Test("A mount point's spaces are read, and a group that is overdrawn leaves nothing")
    func oddities() throws {
        var files = ["proc/self/cgroup": "0::/a b", "proc/self/mountinfo": mount("/", "/control\\040groups")]
        files.merge(group("control groups/a b", max: 100, used: 160)) { $1 }
        #expect(try limits(files) == [controlGroup("/control groups/a b", 0)])
        files["control groups/a b/memory.stat"] = "inactive_file \(900 << 20)"
        #expect(try limits(files) == [controlGroup("/control groups/a b", 100)])
    }

    @Test("Address space and data: what is not used of the limit")
    func limitsOfTheProcess() throws {
        let status = ["proc/self/status": "Name:\tx\nVmSize:\t  30720 kB\nVmData:\t  1024 kB"]
        #expect(
            try limits(status, addressSpaceMax: 100 << 20, dataMax: 3 << 20) == [
                MemoryLimit(bytes: 70 << 20, origin: .addressSpace), MemoryLimit(bytes: 2 << 20, origin: .data),
            ])
        #expect(try limits(status, addressSpaceMax: 9) == [MemoryLimit(bytes: 0, origin: .addressSpace)])
        // Nothing is known of what is used: the reservations before the first write find out.
        #expect(try limits([:], addressSpaceMax: 100 << 20) == [])
    }

    @Test("The least that a lane can do with is taken before a run is refused")
    func lessRoomForWrites() throws {
        func plan(_ mebibytes: UInt64, _ origin: MemoryLimit.Origin = .host) throws -> LanePlan {
            try LanePlan(
                windowBytesMax: 128 << 20, largestBytes: 1 << 30, lanesMax: 2,
                limits: MemoryLimits(all: [MemoryLimit(bytes: mebibytes << 20, origin: origin)]))
        }
        #expect(try plan(400).lanes == 2)
        #expect(try plan(200).limits.inFlightBytes == 16 << 20)
        #expect(try plan(160).limits.inFlightBytes == 8 << 20)
        #expect(try plan(154).limits.inFlightBytes == 4 << 20)
        #expect(throws: StreamFault.self) { try plan(150) }
        // Of what was asked for, the program's own is a part; and what is reserved counts as address space.
        #expect(throws: StreamFault.self) { try plan(154, .asked) }
        #expect(throws: StreamFault.self) { try plan(180, .addressSpace) }
        #expect(try plan(220, .addressSpace).lanes == 1)
    }

    @Test("More than two lanes have pipes that hold a frame each, where there is memory for them")
    func pipes() throws {
        func plan(_ mebibytes: UInt64) throws -> LanePlan {
            try LanePlan(
                windowBytesMax: 8 << 20, largestBytes: 1 << 30, lanesMax: 3,
                limits: MemoryLimits(all: [MemoryLimit(bytes: mebibytes << 20, origin: .host)]))
        }
        let three = try plan(90)
        #expect(three.lanes == 3)
        #expect(three.limits.pipeBytes == 8 << 20)
        // Three lanes of 4 MiB pipes would fit into this.
        let two = try plan(75)
        #expect(two.lanes == 2)
        #expect(two.limits.pipeBytes == 4 << 20)
    }
}
