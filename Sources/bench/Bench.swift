import ArgumentParser

@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the library, and what it is compared with, on this machine.",
        discussion: """
            Every scenario runs its variants in turn, round after round, after one round that is not counted, and tells
            medians and ratios per round. Compare only figures of one call: single ones vary from minute to minute.
            Takes root: loop devices, and dropping the page cache.
            """,
        subcommands: [
            WriterScenario.self, DecodeScenario.self, HashScenario.self, StreamScenario.self, CPUScenario.self,
            ScalingScenario.self, AllocationScenario.self, InstructionScenario.self, ReportCommand.self, RunCommand.self,
        ])

    static func main() {
        // An interrupted scenario leaves nothing behind: it ends its variants itself.
        if CommandLine.arguments.dropFirst().first != RunCommand.configuration.commandName { Workspace.watchSignals() }
        do {
            var command = try parseAsRoot()
            try command.run()
            Workspace.clean()
        } catch {
            Workspace.yieldToSignal()
            Workspace.clean()
            exit(withError: error)
        }
    }
}

/// An error, in one sentence.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
