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
        ["Reuse"], ["Session"],
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
        // A suite has its file's name, as the next rule says.
        let files = Set(Self.sources("Tests").map(\.path).compactMap { $0.split(separator: "/").last.map(String.init) })
        for match in safety.matches(of: #/`(\w+Tests)`/#) {
            #expect(files.contains("\(match.1).swift"), "\(match.1)")
        }
    }

    @Test("A suite is named as its file; more of them in a file begin like it")
    func suitesAreNamedAsTheirFiles() {
        for source in Self.sources("Tests") {
            let file = String(source.path.split(separator: "/").last?.dropLast(".swift".count) ?? "")
            // A suite inside another one: EndToEnd's FailureTests are in EndToEndFailureTests.
            let inner = #/(?m)^extension (\w+) \{\n(?: *\n| *@.*\n)* *(?:@Suite.*)?struct \w+Tests\b/#
            let outer = source.code.firstMatch(of: inner).map { String($0.1) }.flatMap { file.hasPrefix($0) ? $0 : nil } ?? ""
            let suites = source.code.matches(of: #/(?m)^ *(?:@Suite.*)?struct (\w+Tests)\b/#).map { outer + String($0.1) }
            guard !suites.isEmpty else { continue }
            #expect(suites.contains(file), "\(source.path) has \(suites)")
            let stem = file.hasSuffix("Tests") ? String(file.dropLast("Tests".count)) : file
            for suite in suites { #expect(suite.hasPrefix(stem), "\(source.path) has \(suite)") }
        }
    }

    /// Lower them when less is public. Raise one only for what a front-end in another package acts on (docs/decisions/0008).
    private static let publicDeclarationsMax = ["StreamDisk": 171, "CosiFormat": 58]

    @Test("What a library makes public stays under its ceiling", arguments: publicDeclarationsMax)
    func publicSurface(library: String, max: Int) {
        let count = Self.sources("Sources/" + library).reduce(0) { sum, source in
            sum + source.code.matches(of: #/(?m)^ *public (?!import\b)/#).count
        }
        #expect(count <= max, "\(count) are public: make them package, unless a front-end needs them")
    }

    @Test("Every key and event of docs/events.schema.json stands in docs/EVENTS.md")
    func keysAreExplained() throws {
        let page = try String(contentsOf: Self.root.appending(path: "docs/EVENTS.md"), encoding: .utf8)
        let data = try Data(contentsOf: Self.root.appending(path: "docs/events.schema.json"))
        func keys(_ value: Any) -> [String] {
            if let list = value as? [Any] { return list.flatMap(keys) }
            guard let object = value as? [String: Any] else { return [] }
            return ((object["properties"] as? [String: Any]).map { Array($0.keys) } ?? []) + object.values.flatMap(keys)
        }
        let schema = try JSONSerialization.jsonObject(with: data)
        let words = Set(keys(schema))
        #expect(words.count > 80)
        for word in words.sorted() { #expect(page.contains("`\(word)`") || page.contains("`\(word)[]`"), "\(word)") }
    }

    @Test("What a file declares is used in another one, or it is an entry")
    func noDeadFiles() {
        for folder in ["CosiFormat", "StreamDisk", "CosiPack", "stream-disk", "bench"] {
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
