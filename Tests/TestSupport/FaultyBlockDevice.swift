import Foundation
import Glibc
import Testing

/// A block device that misbehaves as told: nbdkit serves a file, nbdfuse shows that as a file again, losetup makes it a disk.
/// Needs root. Whatever happens in `body`, both programs are ended, and nothing is left mounted or attached.
struct FaultyBlockDevice {
    /// Such as /dev/loop3.
    let path: String
    /// What is on the disk, to be looked at past all faults.
    let backing: String
    /// Where a fault's shell commands run; they and the test agree on files here.
    let folder: String

    /// What nbdkit serves the file by.
    enum Server {
        /// Its own filters, with their parameters.
        case filters([String])
        /// Shell that runs before each write and read (`$count` and `$offset` say which) and each flush; `fail EIO` makes it
        /// fail, `drop` leaves out the write.
        case script(write: String = "true", read: String = "true", flush: String = "true")
    }

    static let isAvailable =
        LoopDevice.isAvailable
        && (FileManager.default.fileExists(atPath: "/usr/bin/nbdfuse")
            || ProcessInfo.processInfo.environment["CI"] == "true")
    static let needs: Comment = "faulty disks need root, nbdkit and nbdfuse"

    /// - Parameter fill: puts the first content into the file that backs the disk.
    static func with<Value>(
        sizeBytes: UInt64, _ server: Server, fill: (_ backing: String) throws -> Void = { _ in },
        _ body: (FaultyBlockDevice) throws -> Value
    ) throws -> Value {
        try withTemporaryFolder { folder in
            let backing = folder.appending(path: "backing").path
            try run("truncate", ["-s", "\(sizeBytes)", backing])
            try fill(backing)
            let arguments: [String] =
                switch server {
                case .filters(let more):
                    more.filter { $0.hasPrefix("-") } + ["file", backing]
                        + more.filter { !$0.hasPrefix("-") }
                case .script(let write, let read, let flush): eval(folder.path, sizeBytes, write, read, flush)
                }
            defer { _ = try? run("bash", ["-c", stop, "stop", folder.path]) }
            let path = try run("bash", ["-euc", start, "start", folder.path] + arguments)
            return try body(
                FaultyBlockDevice(
                    path: path.trimmingCharacters(in: .whitespacesAndNewlines), backing: backing, folder: folder.path))
        }
    }

    /// The server goes, as a disk that is pulled.
    func vanish() throws { try run("bash", ["-c", "kill -KILL $(<\"$1/nbdkit.pid\")", "vanish", folder]) }

    /// nbdkit asks one program for everything, one call at a time (nbdkit-sh-plugin(3)): call, handle, count, offset.
    private static func eval(
        _ folder: String, _ sizeBytes: UInt64, _ write: String, _ read: String, _ flush: String
    ) -> [String] {
        let prologue = """
            cd \(folder); call=$1 count=$3 offset=$4
            drop() { cat >/dev/null; exit 0; }
            fail() { [ $call = pwrite ] && cat >/dev/null; echo "$1 as told" >&2; exit 1; }

            """
        return [
            "eval", "get_size=echo \(sizeBytes)",
            "pread=" + prologue + read + "\n"
                + "dd if=backing iflag=skip_bytes,count_bytes skip=$offset count=$count bs=1M status=none",
            "pwrite=" + prologue + write + "\n"
                + "dd of=backing oflag=seek_bytes seek=$offset iflag=fullblock conv=notrunc bs=1M status=none",
            "flush=" + prologue + flush,
        ]
    }

    /// The programs live on: they must not take along what `Process` of other tests waits to see closed.
    private static let start = """
        for file in /proc/self/fd/*; do number=${file##*/}; [ $number -gt 2 ] && eval "exec $number>&-"; done
        cd "$1"; shift
        mkdir mount
        nbdkit --unix "$PWD/socket" --pidfile "$PWD/nbdkit.pid" "$@" </dev/null >server.log 2>&1
        for ((i = 0; i < 200; i++)); do [[ -s nbdkit.pid ]] && break; sleep 0.05; done
        setsid nbdfuse --pidfile "$PWD/nbdfuse.pid" mount/disk --unix "$PWD/socket" </dev/null >fuse.log 2>&1 &
        for ((i = 0; i < 200; i++)); do [[ -s nbdfuse.pid ]] && break; sleep 0.05; done
        # Direct, so that a write fails when it is made and not when some cache is flushed.
        losetup --find --show --direct-io=on mount/disk >device
        # That flushes once: what a fault counts begins here.
        rm -f calls
        cat device
        """

    /// First nbdfuse: then the kernel ends every request that waits for an answer, and nothing hangs.
    private static let stop = """
        cd "$1" || exit
        for name in nbdfuse nbdkit; do [[ -s $name.pid ]] && kill -KILL "$(<$name.pid)" 2>/dev/null; done
        [[ -s device ]] && losetup --detach "$(<device)"
        for ((i = 0; i < 100; i++)); do
            mountpoint -q mount || [[ $(grep -c " $PWD/mount " /proc/self/mountinfo) != 0 ]] || break
            umount mount 2>/dev/null && break
            sleep 0.05
        done
        umount --lazy mount 2>/dev/null
        true
        """
}
