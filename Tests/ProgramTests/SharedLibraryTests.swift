import Foundation
import Glibc
import Testing

@testable import TestSupport

/// The library for C: of this build, which stands beside the test bundle, as a C and a Python program use it.
@Suite struct SharedLibraryTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    private static let include = root + "/Sources/CStreamDisk/include"
    private static let library = URL(filePath: Program.path).deletingLastPathComponent().appending(path: "libstreamdisk.so").path

    /// A folder with the library under its own name.
    private func linked() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/libstreamdisk.so.0", withDestinationPath: Self.library)
        return folder
    }

    private func compile(_ source: String, in folder: TemporaryFolder) throws -> String {
        let program = folder.path + "/program"
        try run(
            "clang",
            [
                "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I" + Self.include, Self.root + "/" + source, "-o", program,
                folder.path + "/libstreamdisk.so.0", "-Wl,-rpath," + folder.path, "-lcurl", "-pthread",
            ])
        return program
    }

    @Test(
        "The header compiles alone, as C11 and as C++17, without warnings",
        arguments: [("clang", "c", "c11"), ("clang++", "c++", "c++17")])
    func headerAlone(compiler: String, language: String, standard: String) throws {
        try run(
            compiler,
            ["-x", language, "-std=" + standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
                + [Self.include + "/streamdisk.h"])
    }

    @Test("What is exported is what the list in the tree names")
    func exports() throws {
        let list = try String(contentsOfFile: Self.root + "/Sources/StreamDiskC/symbols", encoding: .utf8)
        let found = try run("nm", ["-D", "--defined-only", Self.library]).split(separator: "\n").compactMap {
            $0.split(separator: " ").last
        }
        #expect(found.sorted() == list.split(separator: "\n").sorted())
    }

    @Test("The library has its SONAME, cannot be unloaded, and needs nothing of Swift")
    func dynamicSection() throws {
        let section = try run("readelf", ["-d", Self.library])
        #expect(section.contains("[libstreamdisk.so.0]") && section.contains("NODELETE"))
        #expect(
            !section.lowercased().contains("libswift") && !section.contains("libFoundation") && !section.contains("libdispatch"))
    }

    @Test("A C program with its own libcurl and signal handlers streams, compares, cancels, and is told what is wrong")
    func cCaller() async throws {
        let image = try SampleImage.make()
        let nginx = try Nginx(.init(limitRate: "200k", extra: "limit_rate_after 2m;"))
        try nginx.serve("image.cosi", image.bytes)
        let folder = try linked()
        let program = try compile("Tests/Tools/c-caller.c", in: folder)
        try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
            let other = folder.path + "/other"
            try run("truncate", ["-s", "\(image.diskBytes)", other])
            let events = folder.path + "/events"
            let said = try run(
                program, [folder.path + "/libstreamdisk.so.0", image.path, nginx.url("image.cosi"), disk, other, events])
            #expect(said == "ok\n")
            #expect(throws: Never.self) { try run("bash", ["-c", "\"$1\" < \"$2\" >&2", "check", Program.checkJSON, events]) }
            try image.expectStreamed(to: disk, was: was)
        }
    }

    @Test("The example in C and the one in Python do what they say")
    func examples() throws {
        let image = try SampleImage.make()
        let folder = try linked()
        let program = try compile("examples/c/stream.c", in: folder)
        let hash = "sha384:" + image.manifest.metadataSha384
        let script = Self.root + "/examples/python/stream_disk.py"
        for arguments in [
            [program, image.path, "DISK", hash],
            [
                "env", "STREAMDISK_LIBRARY=" + folder.path + "/libstreamdisk.so.0", "python3", script, image.path, "DISK",
                "hash=" + hash,
            ],
        ] {
            try TestTarget.file.with(sizeBytes: image.diskBytes) { disk, was in
                let said = try run("env", arguments.map { $0 == "DISK" ? disk : $0 })
                #expect(said.contains("\"completed\""))
                try image.expectStreamed(to: disk, was: was)
            }
        }
    }

    @Test("Opened, used and closed twice, the library does not take the program down")
    func closedTwice() throws {
        let folder = try linked()
        let script = """
            import _ctypes, ctypes
            for _ in range(2):
                library = ctypes.CDLL('\(folder.path)/libstreamdisk.so.0')
                library.streamdisk_new.restype = ctypes.c_void_p
                handle = ctypes.c_void_p(library.streamdisk_new(b'http://127.0.0.1:1/none.cosi'))
                library.streamdisk_set(handle, b'retry-timeout', b'0.1')
                assert library.streamdisk_inspect(handle, ctypes.byref(ctypes.c_char_p())) == 69
                library.streamdisk_free(handle)
                _ctypes.dlclose(library._handle)
            print('ok')
            """
        #expect(try run("python3", ["-c", script]) == "ok\n")
    }
}
