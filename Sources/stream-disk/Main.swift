import ArgumentParser
import Glibc
import StreamDisk

/// The entry point: sets up the process before any file is opened and any thread started, then runs the command.
@main
enum Main {
    static func main() {
        StandardDescriptors.fill()
        // With SIGXFSZ ignored, a file-size limit fails the write with EFBIG instead of killing the process (setrlimit(2)).
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
