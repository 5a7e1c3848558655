import CLinux
import Glibc

/// An open file, closed exactly once. Its number is never 0, 1 or 2: other code writes output to those.
package struct Descriptor: ~Copyable, Sendable {
    package let number: Int32

    /// open(2) with close-on-exec; repeated if a signal interrupts it.
    ///
    /// - Parameter mode: of a file that it makes.
    package init(opening path: String, _ flags: Int32, mode: UInt32 = 0) throws(SystemError) {
        // A NUL would truncate the path and so name another file.
        guard !path.utf8.contains(0) else { throw SystemError(EINVAL) }
        // A writable file must not have such a number even for a moment: another thread may print just then.
        let fillers = flags & O_ACCMODE == O_RDONLY ? [] : Self.fillStandard()
        defer { for filler in fillers { _ = Glibc.close(filler) } }
        while true {
            let number = unsafe cl_open(path, flags | O_CLOEXEC, mode)
            if number >= 0 {
                self.number = try Self.aboveStandard(number)
                return
            }
            let error = SystemError.current
            guard error.code == EINTR else { throw error }
        }
    }

    /// Fills the free descriptors of 0 to 2 with files that cannot be written. The caller closes them.
    private static func fillStandard() -> [Int32] {
        var fillers: [Int32] = []
        while true {
            let number = unsafe cl_open("/", cl_O_PATH | O_CLOEXEC, 0)
            if number > STDERR_FILENO { _ = Glibc.close(number) }
            guard (0...STDERR_FILENO).contains(number) else { return fillers }
            fillers.append(number)
        }
    }

    /// A descriptor above 2 for the same open file; `number` itself if it already is.
    static func aboveStandard(_ number: Int32) throws(SystemError) -> Int32 {
        guard (0...STDERR_FILENO).contains(number) else { return number }
        let above = fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
        let error = SystemError.current
        _ = Glibc.close(number)
        if above < 0 { throw error }
        return above
    }

    /// Closes the file and throws errors of earlier writes that close(2) reports. Linux closes in any case, so it is never
    /// repeated.
    package consuming func close() throws(SystemError) {
        let result = Glibc.close(number)
        let error = SystemError.current
        discard self
        if result != 0, error.code != EINTR { throw error }
    }

    deinit { _ = Glibc.close(number) }

    /// Whether O_DIRECT is set.
    var isDirect: Bool { fcntl(number, F_GETFL) & cl_O_DIRECT != 0 }

    /// fstat(2)
    func status() throws(SystemError) -> stat {
        var status = stat()
        guard unsafe fstat(number, &status) == 0 else { throw .current }
        return status
    }

    /// Reads to the end of the file. Throws EFBIG if that is more than `limitBytes`.
    ///
    /// - Parameter waitSeconds: how long, in all, a pipe that was opened with O_NONBLOCK, such as bash's `<(…)`, may be empty.
    ///   After that, EAGAIN is thrown.
    package func readAll(limitBytes: Int, waitSeconds: Double = 0) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var millisecondsLeft = waitSeconds * 1000
        while true {
            var failure: SystemError?
            // SAFETY: the kernel writes at most the area's own count into it, and returns how much.
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 16384) { area, count in
                let result = unsafe Glibc.read(number, area.baseAddress, area.count)
                if result < 0 { failure = .current }
                count = max(result, 0)
            }
            if let failure {
                if failure.code == EINTR { continue }
                guard failure.code == EAGAIN, millisecondsLeft > 0 else { throw failure }
                var wanted = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
                let start = Instant.now
                unsafe poll(&wanted, 1, 100)
                millisecondsLeft -= max(Instant.now.seconds(since: start) * 1000, 1)
                continue
            }
            if chunk.isEmpty { return bytes }
            guard bytes.count + chunk.count <= limitBytes else { throw SystemError(EFBIG) }
            if bytes.isEmpty { bytes = chunk } else { bytes += chunk }
        }
    }
}
