import ArgumentParser
import Glibc
import StreamDisk

/// The entry: what the process needs before any file is opened and any thread started, then the command.
@main
enum Main {
    static func main() {
        StandardDescriptors.fill()
        // A limit on file sizes is then an error of the write, EFBIG, with its place, and not a death (setrlimit(2)).
        signal(SIGXFSZ, SIG_IGN)
        ProcessLimits.prepare()
        let arguments: [String]
        do throws(ProcessArguments.NotText) {
            arguments = try ProcessArguments.list()
        } catch {
            StreamDiskCommand.refuse(
                error.arguments, code: ExitCodes.usage, message: "\(error)", text: "stream-disk: \(error)")
        }
        ProcessLimits.withEnoughStack { StreamDiskCommand.main(arguments) }
    }
}
