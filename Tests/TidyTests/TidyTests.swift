import Foundation
import Testing

/// Rules of the tree that no compiler holds.
@Suite struct TidyTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    struct Source: Sendable {
        let path: String
        let text: String
        /// Without comments and without what stands in string literals.
        let code: String
        var folder: String { String(path.split(separator: "/").dropLast().last ?? "") }
    }

    private static func sources(_ folder: String) -> [Source] {
        let base = root.appending(path: folder)
        let files = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String } ?? []
        return files.filter { $0.hasSuffix(".swift") }.sorted().compactMap { name in
            guard let text = try? String(contentsOf: base.appending(path: name), encoding: .utf8) else { return nil }
            let code = text.replacing(#/\/\/.*/#, with: "").replacing(#/"""(?s:.*?)"""/#, with: "\"\"")
                .replacing(#/"(\\.|[^"\\\n])*"/#, with: "\"\"")
            return Source(path: folder + "/" + name, text: text, code: code)
        }
    }

    @Test("No file is longer than 350 lines of code, 400 of a test", arguments: ["Sources", "Tests", "Fuzz"])
    func fileLengths(folder: String) {
        for source in Self.sources(folder) {
            let lines = source.text.split(separator: "\n", omittingEmptySubsequences: false).count - 1
            #expect(lines <= (folder == "Sources" ? 350 : 400), "\(source.path) has \(lines) lines")
        }
    }

    /// The floors of the library, from the ground up. A folder stands only on those below it.
    private static let floors = [
        ["Support"], ["Errors"], ["Codec", "DiskIO", "Source", "HTTP", "Registry", "Device"], ["Image"], ["Pipeline"], ["Writer"],
        ["Session"],
    ]

    @Test("A folder of the library uses only what is on floors below it")
    func floorsHold() {
        let sources = Self.sources("Sources/StreamDisk")
        func floor(_ folder: String) -> Int? { Self.floors.firstIndex { $0.contains(folder) } }
        // HTTP and Registry are parts of Source.
        func room(_ folder: String) -> String { ["HTTP", "Registry"].contains(folder) ? "Source" : folder }
        var owners: [String: Set<String>] = [:]
        for source in sources where floor(source.folder) != nil {
            for match in source.code.matches(
                of:
                    #/(?m)^(?:public |package |final |private |fileprivate |@\w+ )*(struct|class|enum|protocol|actor|func|typealias) (\w+)/#
            )
            where !match.0.contains("private") {
                owners[String(match.2), default: []].insert(room(source.folder))
            }
        }
        for source in sources {
            guard let own = floor(source.folder) else {
                if source.folder != "StreamDisk" { Issue.record("\(source.path) is on no floor") }
                continue
            }
            let words = Set(source.code.matches(of: #/\w+/#).map { String($0.0) })
            for word in words.sorted() {
                guard let rooms = owners[word], rooms.count == 1, let used = rooms.first, used != room(source.folder),
                    let its = floor(used), its >= own
                else { continue }
                Issue.record("\(source.path) uses \(word) of \(used)")
            }
        }
    }

    @Test("No text of the library names an option of the command line")
    func noOptions() {
        for source in Self.sources("Sources/StreamDisk") + Self.sources("Sources/CosiFormat") {
            let code = source.text.replacing(#/\/\/.*/#, with: "")
            for match in code.matches(of: #/--[a-z][a-z-]+/#) { Issue.record("\(source.path) names \(match.0)") }
        }
    }

    @Test("Every suite that docs/SAFETY.md names is there")
    func suitesExist() throws {
        let safety = try String(contentsOf: Self.root.appending(path: "docs/SAFETY.md"), encoding: .utf8)
        let tests = Self.sources("Tests").map(\.text).joined(separator: "\n")
        for match in safety.matches(of: #/`(\w+Tests)`/#) {
            #expect(tests.contains("struct \(match.1)"), "\(match.1)")
        }
    }

    @Test("What a file declares is used in another one, or it is an entry")
    func noDeadFiles() {
        for folder in ["CosiFormat", "StreamDisk", "stream-disk", "bench"] {
            let sources = Self.sources("Sources/" + folder)
            let all = Self.sources("Sources")
            for source in sources {
                let names = source.code.matches(
                    of: #/(?m)^(?:public |package |final |@\w+ )*(?:struct|class|enum|protocol|func) (\w+)/#
                )
                .map { String($0.1) }
                // Extensions are used by the names of others.
                guard !names.isEmpty, !source.code.contains(#/(?m)^(?:public |package )?extension /#),
                    !source.code.contains("@main"), !source.code.contains("public func"),
                    !source.code.contains("public struct"), !source.code.contains("public enum")
                else { continue }
                let isUsed = all.contains { other in
                    other.path != source.path && names.contains { other.code.contains($0) }
                }
                #expect(isUsed, "\(source.path)")
            }
        }
    }
}
