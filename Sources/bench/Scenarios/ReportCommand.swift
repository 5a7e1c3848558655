import ArgumentParser
import FoundationEssentials

/// Makes tables and plots from reports written earlier.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Makes tables and plots from what --json wrote before.",
        discussion: "No figure is typed by hand: --into replaces what stands between the markers of a Markdown file.")

    @Argument(help: "Reports, in the order in which they shall appear.")
    var files: [String]

    @Option(help: ArgumentHelp("Write a page with tables and plots.", valueName: "file"))
    var html: String?

    @Option(help: ArgumentHelp("Replace the lines between the markers of this Markdown file.", valueName: "file"))
    var into: String?

    @Option(help: ArgumentHelp("Write the first report's bars as a picture for a README.", valueName: "file"))
    var svg: String?

    func run() throws {
        let reports = try files.map { try ReportFile.read($0) }
        if let html { try Data(HTMLPage.text(reports).utf8).write(to: URL(filePath: html)) }
        if let svg, let first = reports.first { try Data(BarPlot.picture(first).utf8).write(to: URL(filePath: svg)) }
        if let into {
            let text = try Markdown.replacing(in: readText(into), with: Markdown.text(reports))
            try Data(text.utf8).write(to: URL(filePath: into))
        }
        if html == nil && into == nil && svg == nil { print(Markdown.text(reports)) }
    }
}
