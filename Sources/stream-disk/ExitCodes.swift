import Glibc
import StreamDisk

extension ExitCodes {
    /// The meaning of each code, for `--help`.
    static var table: String {
        HelpText.table([
            ("\(done)", "the image is on the disk, checked and flushed; verify: the disk holds it"),
            ("\(usage)", "the command line is wrong"),
            ("\(invalidImage)", "the image is invalid, corrupt, or not the one asked for"),
            ("\(noImage)", "the image, or the partition asked for, does not exist"),
            ("\(unreachable)", "the source cannot be reached, or stopped answering for too long"),
            ("\(software)", "a bug in this program"),
            ("\(deviceFailed)", "the disk failed; verify: the disk does not hold the image"),
            ("\(busy)", "another run holds the disk; with no --disk: the disk to be chosen is busy"),
            ("\(unsupportedServer)", "the server cannot serve this image"),
            ("\(notPermitted)", "not permitted: root, a password or a certificate is needed"),
            ("\(unusableDisk)", "no disk fits, the named disk cannot be used, or memory is short"),
            ("\(128 + SIGHUP) \(128 + SIGINT) \(128 + SIGTERM)", "ended by SIGHUP, SIGINT, SIGTERM"),
        ])
    }
}
