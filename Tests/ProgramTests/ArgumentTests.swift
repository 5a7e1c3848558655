import Foundation
import Testing

@testable import TestSupport

extension CommandLineContract {
    /// What is said of the command line itself: help, wrong arguments, and values with units.
    @Suite struct ArgumentTests {
        @Test("With no terminal and without --yes: 64 before anything is fetched or opened, and what to add.")
        func noTerminalAndNoYes() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(image.bytes)
            try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
                let before = try sha256(of: disk)
                for source in [server.url(), image.path, "/none/image.cosi"] {
                    let ended = try Program.run([source, "--disk", disk], events: true)
                    #expect(ended.code == 64 && ended.output == "")
                    // One line: how the program is called is not what is wrong.
                    #expect(
                        ended.errors.contains("add --yes") && ended.errors.split(separator: "\n").count == 1, "\(ended.errors)")
                    #expect(ended.eventNames == ["start", "error"])
                }
                #expect(server.requests.isEmpty)
                #expect(try sha256(of: disk) == before)
                #expect(try Program.run([image.path, "--disk", disk, "--dry-run"]).code == 0)
            }
        }

        @Test(
            "A mistyped verb is recognised.",
            arguments: [
                (["verfy", "image.cosi", "--disk", "x"], "verify"), (["list"], "disks"), (["disk", "--json"], "disks"),
                (["Inspect", "image.cosi"], "inspect"), (["strem", "image.cosi", "--yes"], "stream"), (["hlep"], "help"),
                (["--yes", "verfy"], "verify"),
            ])
        func mistypedVerb(arguments: [String], meant: String) throws {
            let ended = try Program.run(arguments)
            #expect(ended.code == 64)
            #expect(ended.errors.contains("Did you mean '\(meant)'?"), "\(ended.errors)")
        }

        @Test("No argument at all: a few lines, not all of the help.")
        func noArguments() throws {
            let ended = try Program.run([])
            #expect(ended.code == 64 && ended.output == "")
            #expect(ended.errors.hasPrefix("Error: ") && ended.errors.contains("stream-disk --help"), "\(ended.errors)")
            #expect(ended.errors.split(separator: "\n").count < 10)
        }

        @Test("A disk that is given without its option is answered with the option.")
        func diskWithoutItsOption() throws {
            let ended = try Program.run(["/none/image", "/dev/none", "--yes"])
            #expect(ended.code == 64 && ended.errors.contains("--disk <path>"), "\(ended.errors)")
            #expect(ended.errors.contains("The disk is named with --disk"))
            #expect(try !Program.run(["/none/image", "other", "--yes"]).errors.contains("The disk is named"))
        }

        @Test("A word that is a file is an image, whatever verb it resembles, and one that resembles none is an image too.")
        func wordsThatAreImages() throws {
            try withTemporaryFolder { folder in
                try Data("no image".utf8).write(to: folder.appending(path: "verfy"))
                let through = ["env", "-C", folder.path]
                #expect(try Program.run(["verfy", "--yes"], through: through).code == 65)
                #expect(try Program.run(["server", "--yes"], through: through).code == 66)
                #expect(try Program.run(["./disk", "--yes"], through: through).code == 66)
                #expect(try Program.run(["stream", "list", "--yes"], through: through).code == 66)
            }
        }

        @Test("Help fits the terminal, and never traps.", arguments: ["80", "100", "52", "1", "0", "-3", "x"])
        func helpFits(columns: String) throws {
            for verb in [[], ["stream"], ["inspect"], ["verify"], ["disks"]] {
                let ended = try Program.run(verb + ["--help"], environment: ["COLUMNS": columns])
                #expect(ended.code == 0 && ended.errors == "" && ended.output.contains("USAGE: stream-disk"))
                guard let width = Int(columns), width >= 52 else { continue }
                // Commands are not broken; 80 columns have room for each.
                for line in ended.output.split(separator: "\n") where width >= 80 || !line.contains("stream-disk") {
                    #expect(line.count <= width, "\(verb): \(line)")
                }
            }
        }

        @Test("Examples can be copied: each is a command for the shell, and none runs into a comment or an ellipsis.")
        func examplesAreCommands() throws {
            for columns in ["80", "40"] {
                let help = try Program.run(["--help"], environment: ["COLUMNS": columns]).output
                #expect(!help.contains("…") && !help.contains("#"))
                let end = try #require(help.range(of: "Exit codes:")).lowerBound
                let commands = help[..<end].split(separator: "\n").filter { $0.hasPrefix("  ") }.joined(separator: "\n")
                #expect(commands.contains("stream-disk verify"))
                try run("bash", ["-n", "-c", commands])
                // All that they name is there: what they run is given to this program, up to the image that is not.
                let script = """
                    stream-disk() {
                        said=$("\(Program.path)" "$@" 2>&1 </dev/null)
                        [[ $? != 64 || $said == *"add --yes"* ]] || { echo "$said" >&2; exit 64; }
                    }
                    truncate() { :; }; jq() { echo ignored; }
                    cd /; \(commands.replacing("https://images.example/os.cosi", with: "/none/image.cosi"))
                    exit 0
                    """
                try run("bash", ["-c", script])
            }
        }

        @Test("Each exit code stands in the help, in one row, and verify's in its own.")
        func exitCodesInHelp() throws {
            let help = try Program.run(["--help"]).output
            for code in [0, 64, 65, 66, 69, 70, 74, 75, 76, 77, 78] {
                #expect(help.split(separator: "\n").count { $0.hasPrefix("  \(code) ") } == 1, "\(code)")
            }
            #expect(help.contains("  129 130 143  "))
            let verify = try Program.run(["verify", "--help"]).output
            for code in [0, 74, 65] { #expect(verify.contains("\n  \(code) "), "\(code)") }
        }

        @Test("The options that matter come first.")
        func optionsInOrder() throws {
            let help = try Program.run(["stream", "--help"]).output
            let places = try ["\n  --disk ", "\n  --yes ", "\n  --hash ", "\n  --events ", "\n  --retry-timeout "].map {
                try #require(help.range(of: $0)).lowerBound
            }
            #expect(places == places.sorted())
        }

        @Test(
            "Sizes and times take units.",
            arguments: [
                ("--memory-limit", "1.5G", "memoryLimitBytes", 1_610_612_736.0),
                ("--memory-limit", "512M", "memoryLimitBytes", 536_870_912),
                ("--memory-limit", "1T", "memoryLimitBytes", 1_099_511_627_776),
                ("--memory-limit", "600000K", "memoryLimitBytes", 614_400_000),
                ("--memory-limit", "900000000", "memoryLimitBytes", 900_000_000),
                ("--memory-limit", "1GiB", "memoryLimitBytes", 1_073_741_824),
                ("--retry-timeout", "90", "retryTimeoutSeconds", 90), ("--retry-timeout", "5m", "retryTimeoutSeconds", 300),
                ("--retry-timeout", "1.5h", "retryTimeoutSeconds", 5400), ("--stall-timeout", "30s", "stallTimeoutSeconds", 30),
                ("--stall-timeout", "2.5", "stallTimeoutSeconds", 2.5),
            ])
        func units(option: String, value: String, key: String, is wanted: Double) throws {
            let ended = try Program.run(["/none/image", "--dry-run", option, value], events: true)
            #expect(ended.code == 66, "\(ended.errors)")
            let options = try #require(ended.events.first?["options"] as? [String: Any])
            #expect(options[key] as? Double == wanted)
        }

        @Test(
            "A size or a time that is none is refused, with the option's name.",
            arguments: [
                ("--memory-limit", "1.5"), ("--memory-limit", "12X"), ("--memory-limit", "G"), ("--memory-limit", "1e9"),
                ("--memory-limit", ".5G"), ("--memory-limit", "99999999999T"), ("--memory-limit", "1 G"),
                ("--memory-limit", "inf"),
                ("--retry-timeout", "5 m"), ("--retry-timeout", "5d"), ("--retry-timeout", "inf"), ("--retry-timeout", "1e3"),
                ("--retry-timeout", "0s"), ("--stall-timeout", "9000h"), ("--stall-timeout", "1.2.3"), ("--stall-timeout", ""),
            ])
        func wrongUnits(option: String, value: String) throws {
            let ended = try Program.run(["/none/image", "--yes", option, value])
            #expect(ended.code == 64)
            #expect(ended.errors.hasPrefix("Error: ") && ended.errors.contains(option), "\(ended.errors)")
        }

        @Test(
            "A secret in the arguments is not repeated, whatever is wrong with them.",
            arguments: [
                ["--header", "BearerSECRET"], ["--header", "a b: SECRET"], ["--header", "A: SECRET\nB: c"],
                ["--header", "Authorization:", "Bearer", "SECRET"], ["--header=Authorization:", "Bearer", "SECRET"],
                ["--headers", "Authorization: SECRET"], ["--headers=Authorization: SECRET"], ["-H", "Authorization: SECRET"],
                ["--header", "A: SECRET", "--hash", "none"], ["--header", "A: SECRET", "--retry-timeout", "x"],
                ["https://user:SECRET@host.example/image?SECRET"], ["--yes=https://user:SECRET@host.example/image"],
                ["--header"], ["--header", "Range: SECRET"],
            ])
        func secretsAreNotRepeated(arguments: [String]) throws {
            let url = "https://user:SECRET@host.example/image?token=SECRET"
            let ended = try Program.run([url, "--yes", "--disk", "/none/disk"] + arguments, events: true)
            #expect(ended.code == 64, "\(ended.errors)")
            #expect(!ended.errors.contains("SECRET"), "\(ended.errors)")
            #expect(!"\(ended.events)".contains("SECRET"), "\(ended.events)")
        }

        @Test("Of a URL that cannot be understood, nothing of its password is shown.")
        func passwordsInMalformedURLs() throws {
            for separator in ["#", "?", "/", " ", "@:"] {
                let url = "https://user:SECRET\(separator)SECRET@host.example:x/image"
                for verb in [["stream", "--dry-run"], ["verify", "--disk", "/none/disk"]] {
                    let ended = try Program.run(verb + [url], events: true)
                    expectFailure(ended, 64, says: ["host.example"])
                    #expect(!(ended.errors + "\(ended.events)").contains("SECRET"), "\(ended.errors)\(ended.events)")
                }
            }
        }

        @Test("The first event names the image as the plan does, whatever characters are in its name.")
        func imageNameInStart() throws {
            let image = try SampleImage.make()
            try withTemporaryFolder { folder in
                let path = folder.appending(path: "os@1.2?b#c.cosi").path
                try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: image.path)
                let server = try FaultServer(image.bytes)
                let urls = [
                    "file://" + path.replacing("?", with: "%3F").replacing("#", with: "%23"), server.url("/a@b.cosi?token=x#y"),
                ]
                try TestTarget.file.withOldTable(sizeBytes: image.diskBytes) { disk in
                    for source in [path] + urls {
                        let ended = try Program.run([source, "--disk", disk, "--dry-run"], events: true)
                        #expect(ended.code == 0, "\(ended.errors)")
                        let options = try #require(ended.events.first?["options"] as? [String: Any])
                        let plan = try #require(ended.events.first { $0["event"] as? String == "plan" })
                        #expect(options["image"] as? String == plan["image"] as? String)
                    }
                }
            }
        }

        @Test("A disk or an image whose name is empty, as an unset variable leaves it, is said to be.")
        func emptyNames() throws {
            for verb in ["stream", "verify"] {
                let ended = try Program.run([verb, "/none/image", "--disk", ""] + (verb == "stream" ? ["--yes"] : []))
                #expect(ended.code == 64 && ended.errors.contains("--disk is empty"), "\(ended.errors)")
            }
            expectFailure(try Program.run(["inspect", ""]), 64, says: ["'': the path is empty"])
        }

        @Test("A header that this program sets itself is refused as an argument, not as an image.")
        func headersOfOurOwn() throws {
            for header in ["Range: bytes=0-1", "accept-encoding: gzip"] {
                let ended = try Program.run(["inspect", "http://127.0.0.1:1/image", "--header", header])
                #expect(ended.code == 64 && ended.errors.hasPrefix("Error: --header sets "), "\(ended.errors)")
            }
        }

        @Test("--header @FILE sends what the file holds, and neither the events nor an error show it.")
        func headerFile() throws {
            let image = try SampleImage.make()
            let server = try FaultServer(image.bytes)
            try withTemporaryFolder { folder in
                let file = folder.appending(path: "headers").path
                try Data("Authorization: Bearer one\r\n\r\n\nX-Two: 2".utf8).write(to: URL(filePath: file))
                let ended = try Program.run(["inspect", server.url(), "--header", "@" + file, "--header", "X-Three: 3"])
                #expect(ended.code == 0, "\(ended.errors)")
                let headers = try #require(server.requests.first).headers
                #expect(headers["authorization"] == "Bearer one" && headers["x-two"] == "2" && headers["x-three"] == "3")

                // A pipe serves too.
                let script = "exec \"$@\" --header @<(echo 'X-Pipe: yes')"
                let piped = try Program.run(["inspect", server.url()], through: ["bash", "-c", script, "bash"])
                #expect(piped.code == 0 && server.requests.last?.headers["x-pipe"] == "yes", "\(piped.errors)")
            }
        }

        @Test("A header file that is missing, not to be read, too large, or holds no headers is named.")
        func wrongHeaderFiles() throws {
            try withTemporaryFolder { folder in
                func write(_ name: String, _ text: String, _ bytes: [UInt8] = []) throws -> String {
                    let file = folder.appending(path: name).path
                    try Data(Array(text.utf8) + bytes).write(to: URL(filePath: file))
                    return file
                }
                for (file, code, why) in [
                    (folder.path + "/none", 64, "No such file"), (folder.path, 64, "directory"),
                    (try write("empty", "\n\r\n"), 64, "no header"), (try write("wrong", "A: b\nSECRET\n"), 64, "line 2"),
                    (try write("ours", "A: SECRET\nRange: SECRET\n"), 64, "line 2 sets Range"),
                    (try write("bytes", "A: SECRET", [0xe9]), 64, "not UTF-8"),
                    (try write("large", String(repeating: "A: SECRET\n", count: 10_000)), 64, "larger"),
                ] {
                    for verb in [["stream", "--yes"], ["inspect"], ["verify", "--disk", "/none/disk"]] {
                        let ended = try Program.run(verb + ["/none/image", "--header", "@" + file])
                        #expect(ended.code == code, "\(ended.errors)")
                        #expect(ended.errors.contains(file) && ended.errors.contains(why), "\(ended.errors)")
                        #expect(!ended.errors.contains("SECRET"))
                    }
                }
            }
        }

        @Test("The first event says which program does what, and when; no secret is in it.")
        func startIsTheFirstEvent() throws {
            let url = "https://user:SECRET@localhost:1/image?token=SECRET"
            for (verb, more) in [("stream", ["--dry-run"]), ("verify", ["--disk", "/none/disk"])] {
                let ended = try Program.run(
                    [verb, url, "--header", "Authorization: SECRET", "--retry-timeout", "0.1"] + more, events: true)
                #expect(ended.code == 69, "\(ended.errors)")
                let start = try #require(ended.events.first)
                #expect(start["event"] as? String == "start" && start["verb"] as? String == verb)
                #expect(start["v"] as? Int == 1 && start["version"] is String)
                let time = try #require(start["time"] as? String)
                #expect(abs(try Date(time, strategy: .iso8601).timeIntervalSinceNow) < 60 && time.hasSuffix("Z"))
                let options = try #require(start["options"] as? [String: Any])
                #expect(options["image"] as? String == "https://localhost:1/image" && options["headerCount"] as? Int == 1)
                #expect(!"\(ended.events)".contains("SECRET"), "\(ended.events)")
            }
        }

        @Test(
            "A usage error is an event too.",
            arguments: [
                ["--no-such-option"], ["--retry-timeout", "x"], ["--hash", "md5:0"], ["--header", "@/none/file"], ["extra"],
            ])
        func usageErrorIsAnEvent(arguments: [String]) throws {
            let ended = try Program.run(["/none/image", "--yes"] + arguments, events: true)
            #expect(ended.code == 64)
            #expect(ended.eventNames == ["start", "error"])
            let last = try #require(ended.events.last)
            #expect(last["code"] as? Int == 64 && last["kind"] as? String == "usage")
            #expect(ended.errors.contains(last["message"] as? String ?? "none"), "\(ended.errors)")
        }
    }
}
