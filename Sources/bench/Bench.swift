import ArgumentParser

@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the library on this machine.",
        discussion: """
            Every figure is a median of several runs after one that is not counted. Compare only figures of one call: single ones \
            vary from minute to minute.
            """,
        subcommands: [StreamScenario.self])
}
