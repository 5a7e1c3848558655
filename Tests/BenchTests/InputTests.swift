import Foundation
import Testing

@testable import bench

@Suite("What bench reads")
struct InputTests {
    @Test("A variant has a kind, settings, a label and a target")
    func spec() throws {
        let spec = try #require(VariantSpec(argument: "fio:bs=4M,depth=32,fixed=on,at-least=0.97"))
        #expect(spec.kind == "fio")
        #expect(try spec.size("bs") == 4 << 20)
        #expect(try spec.int("depth") == 32)
        #expect(try spec.flag("fixed") == true)
        #expect(try spec.flag("file") == nil)
        #expect(try spec.target() == Comparison.Target(atLeast: 0.97))
        #expect(spec.label == "fio bs=4M depth=32 fixed=on")
        #expect(VariantSpec(argument: "shell:label=a pipeline")?.label == "a pipeline")
    }

    @Test("What makes no sense is refused", arguments: ["", "fio:depth", "fio:depth=", "fio:depth=1,depth=2"])
    func badSpec(text: String) {
        #expect(VariantSpec(argument: text) == nil)
    }

    @Test("Keys that a kind does not have, and values that are none, are refused")
    func badKeys() throws {
        let spec = try #require(VariantSpec(argument: "library:speed=on,depth=-1,file=maybe"))
        #expect(throws: (any Error).self) { try spec.check(keys: ["depth", "file"]) }
        #expect(throws: (any Error).self) { try spec.int("depth") }
        #expect(throws: (any Error).self) { try spec.flag("file") }
    }

    @Test(
        "Sizes",
        arguments: [
            ("1", 1), ("512K", 524_288), ("3G", 3_221_225_472), ("0", nil), ("M", nil), ("-1K", nil),
            ("99999999999G", nil),
        ]
            as [(String, Int?)])
    func sizes(text: String, expected: Int?) {
        #expect(sizeBytes(text) == expected)
    }

    @Test("Versions are found in what tools say of themselves")
    func versions() {
        #expect(Machine.firstVersion(in: "*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***") == "1.5.4")
        #expect(Machine.firstVersion(in: "nginx version: nginx/1.22.1") == "1.22.1")
        #expect(Machine.firstVersion(in: "fio-3.33") == "3.33")
        #expect(Machine.firstVersion(in: "no such program") == nil)
        #expect(Machine.chosen("always [madvise] never\n") == "madvise")
    }

    @Test("A lane's threads are known by their names")
    func laneNames() {
        #expect(LaneGroups.lane(ofThread: "sd-decode-0\n") == 0)
        #expect(LaneGroups.lane(ofThread: "sd-check-15\n") == 15)
        for other in ["sd-fetch-0", "sd-prefault", "bench", "sd-decode-", ""] {
            #expect(LaneGroups.lane(ofThread: other) == nil)
        }
    }

    @Test("The ceilings that are kept can be read; what holds none is refused by name")
    func ceilings() throws {
        let path = URL(filePath: #filePath).appending(path: "../../../perf/ceilings.json").standardizedFileURL.path
        let ceilings = try Ceilings(path)
        #expect(ceilings.allocationsPerSlot > 0 && ceilings.allocationsPerSlot < 1)
        #expect(ceilings.instructions["x86_64"] != nil)
        #expect(throws: BenchError.self) { try Ceilings(path + ".not") }
    }

    @Test("Callgrind's costs are summed per object, those of calls only with the callee")
    func callgrind() {
        let text = """
            version: 1
            events: Ir
            summary: 1160

            ob=/usr/bin/program
            fl=a.c
            fn=main
            10 100
            +2 30
            cob=/usr/lib/library.so
            cfn=work
            calls=2 5
            12 1000
            * 7

            ob=/usr/lib/library.so
            fl=b.c
            fn=work
            5 1000
            -1 23
            totals: 1160

            """
        #expect(Callgrind.counts(text) == ["program": 137, "library.so": 1023])
    }
}
