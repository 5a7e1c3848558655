import ArgumentParser
import Glibc
import StreamDisk

/// An error in the command line that parsing cannot find, such as in a file that it names.
struct ArgumentFault: Error {
    let code: Int32
    let message: String
}

/// Parses the arguments, runs the command, and returns the exit code.
extension StreamDiskCommand {
    static func main() { main(nil) }

    static func main(_ arguments: [String]?) {
        let arguments = arguments ?? Array(CommandLine.arguments.dropFirst())
        // The argument parser reads COLUMNS, and traps if it is too small.
        unsafe setenv("COLUMNS", "\(HelpText.columns)", 1)
        do {
            if let word = arguments.first { try checkVerb(word) }
            var command = try parseAsRoot(arguments)
            if let stream = command as? StreamCommand, !arguments.contains("stream") { try checkVerb(stream.image) }
            try command.run()
        } catch let code as ExitCode {
            Glibc.exit(code.rawValue)
        } catch let fault as ArgumentFault {
            refuse(arguments, code: fault.code, message: fault.message, text: "Error: \(fault.message)")
        } catch {
            let code = exitCode(for: error).rawValue
            let text = fullMessage(for: error)
            guard code != 0 else { Glibc.exit(show(text)) }
            if arguments.isEmpty {
                let message = "Name an image, or a command."
                refuse([], code: code, message: message, text: "Error: \(message)\n\(shortUsage)")
            }
            let advice = namesDisk(message(for: error), arguments) ? "\nThe disk is named with --disk <path>." : ""
            refuse(
                arguments, code: code, message: withoutSecrets(message(for: error), of: arguments),
                text: withoutSecrets(text, of: arguments) + advice)
        }
    }

    /// `stream` is the default command, so a mistyped verb looks like an image.
    private static func checkVerb(_ word: String) throws {
        guard let verb = mistyped(word) else { return }
        throw ArgumentFault(
            code: ExitCodes.usage, message: "'\(word)' is no command, and there is no such file. Did you mean '\(verb)'?")
    }

    /// Shown when nothing is asked for; the whole help would push the error off the screen.
    private static var shortUsage: String {
        let lines = (configuration.usage ?? "").split(separator: "\n").map { "       " + $0 }
        return "Usage: " + lines.joined(separator: "\n").dropFirst(7) + "\n  See 'stream-disk --help' for examples."
    }

    /// Whether the surplus word is a disk: other programs take one without an option.
    private static func namesDisk(_ message: String, _ arguments: [String]) -> Bool {
        arguments.contains { $0.hasPrefix("/dev/") && message == "Unexpected argument '\($0)'" }
    }

    /// Prints help, or what else was asked of the argument parser.
    private static func show(_ text: String) -> Int32 {
        do throws(ExitCode) {
            try Terminal.result(text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
            return ExitCodes.done
        } catch {
            return error.rawValue
        }
    }

    /// Reports a run that never began, to a person and to a program.
    static func refuse(_ arguments: [String], code: Int32, message: String, text: String) -> Never {
        // A reader that went away must not change the exit code.
        signal(SIGPIPE, SIG_IGN)
        let log = eventsDescriptor(arguments).flatMap { EventLog.isWritable($0) ? EventLog(descriptor: $0) : nil }
        log?.writeStart(verb: nil, options: [:])
        log?.write(usage: message, code: code)
        let display = ProgressDisplay(isVerbose: false, isQuiet: false, retryTimeoutSeconds: 0)
        display.lines(text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
        display.end(log)
        Glibc.exit(code)
    }

    /// The number after `--events`, if it can be read, whatever else is wrong.
    private static func eventsDescriptor(_ arguments: [String]) -> Int32? {
        for (index, argument) in arguments.enumerated() {
            if argument == "--" { return nil }
            if argument == "--events", index + 1 < arguments.count { return Int32(arguments[index + 1]) }
            if argument.hasPrefix("--events=") { return Int32(argument.dropFirst("--events=".count)) }
        }
        return nil
    }

    /// A message of the argument parser, which quotes arguments. Values of `--header` are removed, even unquoted ones that became
    /// several arguments, and so are passwords and queries of URLs.
    private static func withoutSecrets(_ message: String, of arguments: [String]) -> String {
        var message = message
        var isInHeader = false
        for argument in arguments {
            if argument.hasPrefix("-") { isInHeader = argument == "--header" || argument.hasPrefix("--header=") }
            let value = argument.hasPrefix("-") ? argument.drop { $0 != "=" }.dropFirst() : argument[...]
            if value.contains("://") {
                message = message.replacing(value, with: imageName(String(value)))
            } else if isInHeader, !argument.hasPrefix("-") {
                message = message.replacing("'\(argument)'", with: "'(part of a header?)'")
            }
        }
        return message
    }
}

/// The verb that a mistyped word stands for. Nil if the word looks like an image or is a file.
private func mistyped(_ word: String) -> String? {
    guard word.count >= 2, word.allSatisfy({ $0.isASCII && ($0.isLetter || $0 == "-") }), word.first != "-",
        unsafe access(word, F_OK) != 0
    else { return nil }
    let verbs = StreamDiskCommand.configuration.subcommands.map { $0._commandName } + ["help"]
    let lower = word.lowercased()
    guard !verbs.contains(word) else { return nil }
    let others = [
        "list": "disks", "ls": "disks", "devices": "disks", "check": "verify", "compare": "verify", "info": "inspect",
        "show": "inspect", "write": "stream", "install": "stream", "flash": "stream",
    ]
    if let verb = others[lower] { return verb }
    let near = verbs.map { ($0, distance(lower, $0)) }.min { $0.1 < $1.1 }
    guard let near, near.1 <= 2, near.1 * 2 < near.0.count else { return nil }
    return near.0
}

/// The number of letters to change, insert, delete or swap with a neighbour to turn one word into the other.
private func distance(_ left: String, _ right: String) -> Int {
    let (left, right) = (Array(left), Array(right))
    var rows = [Array(0...right.count)]
    for i in 1...max(left.count, 1) where i <= left.count {
        var row = [i]
        for j in 1...max(right.count, 1) where j <= right.count {
            var best = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1))
            if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] { best = min(best, rows[i - 2][j - 2] + 1) }
            row.append(best)
        }
        rows.append(row)
    }
    return rows[left.count][right.count]
}
