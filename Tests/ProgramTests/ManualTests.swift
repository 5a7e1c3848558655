import Foundation
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// The man pages, made of what the program says of itself.
    @Suite struct ManualTests {
        private static let tool = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "packaging/manual").path

        /// One page for each command and one for the program, by name.
        private func pages(epoch: String) throws -> [String: String] {
            let folder = try TemporaryFolder()
            try run("env", ["SOURCE_DATE_EPOCH=\(epoch)", Self.tool, Program.path, folder.path])
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            return try Dictionary(
                uniqueKeysWithValues: names.map { ($0, try String(contentsOfFile: folder.path + "/" + $0, encoding: .utf8)) })
        }

        /// What the program says of itself, for tools.
        private func help() throws -> [String: Any] {
            let text = try Program.run(["--experimental-dump-help"]).output
            let root = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            return try #require(root["command"] as? [String: Any])
        }

        @Test("Each command has a man page with the usual sections, the given date, and all of its options")
        func complete() throws {
            let pages = try pages(epoch: "86400")
            let program = try help()
            let commands = try #require(program["subcommands"] as? [[String: Any]])
                .filter { $0["commandName"] as? String != "help" }
            let named = commands.map { ("stream-disk-\($0["commandName"] ?? "")", $0) } + [("stream-disk", program)]
            #expect(pages.count == named.count)
            for (name, command) in named {
                let page = try #require(pages[name + ".8"], "\(name)")
                for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
                    #expect(page.contains("\n.SH \(section)\n"), "\(name): \(section)")
                }
                #expect(page.contains("\"1970-01-02\""))
                for argument in command["arguments"] as? [[String: Any]] ?? [] where argument["shouldDisplay"] as? Bool == true {
                    for option in argument["names"] as? [[String: Any]] ?? [] where option["kind"] as? String == "long" {
                        let long = (option["name"] as? String ?? "").replacing("-", with: "\\-")
                        #expect(page.contains("\\fB\\-\\-\(long)\\fR"), "\(name): \(long)")
                    }
                }
            }
        }

        @Test("The pages of commands that write nothing speak of no written disk, and no page breaks the name of another")
        func exitCodesOfTheirOwn() throws {
            let pages = try pages(epoch: "0")
            for name in ["stream-disk-inspect.8", "stream-disk-disks.8"] {
                #expect(try !#require(pages[name]).contains("image is on the disk"), "\(name)")
            }
            for (name, page) in pages {
                let others = try #require(page.components(separatedBy: "\n.SH SEE ALSO\n").last).split(separator: "\n")
                #expect(others.allSatisfy { $0.hasPrefix("\\%\\fBstream\\-disk") }, "\(name)")
            }
        }

        @Test("Completions offer paths for the image, the disk, and the files of options")
        func completionsOfPaths() throws {
            let commands = try #require(try help()["subcommands"] as? [[String: Any]])
            var paths = 0
            for command in commands where command["commandName"] as? String != "help" {
                for argument in command["arguments"] as? [[String: Any]] ?? []
                where ["image", "path", "file"].contains(argument["valueName"] as? String) {
                    let kind = argument["completionKind"] as? [String: Any]
                    #expect(
                        kind?["file"] != nil || kind?["directory"] != nil,
                        "\(command["commandName"] ?? ""): \(argument["valueName"] ?? "")")
                    paths += 1
                }
            }
            #expect(paths == 18)
        }

        @Test("man finds nothing to warn of in the pages")
        func clean() throws {
            let folder = try TemporaryFolder()
            for (name, page) in try pages(epoch: "0") {
                let path = try folder.write(name, Array(page.utf8))
                let warnings = try run("sh", ["-c", "man --warnings -E UTF-8 -l \"$1\" 2>&1 >/dev/null", "sh", path])
                #expect(warnings == "", "\(name)")
            }
        }
    }
}
