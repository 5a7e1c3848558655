import CLinux
import Glibc
import StreamDisk

/// Standard input, output and error of a program that was started with some of them closed.
enum StandardDescriptors {
    /// Occupies each closed number with a file that can be neither read nor written.
    ///
    /// Otherwise the next file opened would get it, even the disk or the connection to the server, and text for standard error
    /// would be written into it. Reads and writes still fail with EBADF, as on a closed descriptor. The file is the root
    /// folder, opened as a path only (O_PATH), which needs neither /dev nor any permission.
    static func fill() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // open(2) takes the lowest free number: this one, because those below it are open by now.
            let opened = unsafe cl_open("/", cl_O_PATH, 0)
            // Without it nothing may be opened, and no error could be printed.
            if opened != number { _exit(ExitCodes.software) }
        }
    }
}
