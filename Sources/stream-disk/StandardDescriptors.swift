import CLinux
import Glibc
import StreamDisk

/// Standard input, output and error where the program was started without them.
enum StandardDescriptors {
    /// Gives each number that is closed to a file that can be neither read nor written.
    ///
    /// Otherwise the next file opened would get it, be it the disk or the server's connection, and what is said on standard error
    /// would go into it. Reading and writing goes on to fail with EBADF, as on a closed descriptor. The file is the root
    /// folder, opened for its name alone (O_PATH): it needs neither /dev nor any right.
    static func fill() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is taken (open(2)): this one, for those below it are open by now.
            let opened = unsafe cl_open("/", cl_O_PATH, 0)
            // Nothing may be opened after this, and nothing could be said about it.
            if opened != number { _exit(ExitCodes.software) }
        }
    }
}
