import CLinux
import Glibc
import StreamDisk

/// Adapts the process to tight limits (getrlimit(2)) before the work begins.
enum ProcessLimits {
    private static let stackBytesMin = 1 << 20
    private static let stackBytes = 8 << 20

    static func prepare() {
        // Each thread's own heap reserves 64 MiB of address space: more than such a limit allows.
        if softLimit(RLIMIT_AS) != nil || softLimit(RLIMIT_DATA) != nil { cl_mallopt(cl_M_ARENA_MAX, 1) }
        guard isStackSmall else { return }
        // For threads of libraries, such as libcurl's resolver.
        var attributes = unsafe attributes(stackBytes: stackBytesMin)
        unsafe cl_set_default_thread(&attributes)
        unsafe pthread_attr_destroy(&attributes)
    }

    /// Runs `body` on this thread, or on a new one if this thread's stack cannot grow as far as the command needs.
    static func withEnoughStack(_ body: @escaping @Sendable () -> Void) {
        guard isStackSmall else { return body() }
        let code = runOnThread(body)
        guard code != 0 else { return }
        let why =
            "a stack of \(softLimit(RLIMIT_STACK) ?? 0) bytes is too small (ulimit -s), and another is refused: \(SystemError(code))"
        exit(Terminal.failure(why + ". Nothing was written", ExitCodes.unusableDisk).rawValue)
    }

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// - Returns: 0, or the error number if no thread can be created.
    private static func runOnThread(_ body: @escaping @Sendable () -> Void) -> Int32 {
        var attributes = unsafe attributes(stackBytes: stackBytes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        // SAFETY: the box is retained here and released by the thread, or here if there is no thread.
        let box = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        if code != 0 { unsafe box.release() } else { pthread_join(thread, nil) }
        return code
    }

    @unsafe
    private static func attributes(stackBytes: Int) -> pthread_attr_t {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setstacksize(&attributes, stackBytes)
        return attributes
    }

    private static var isStackSmall: Bool { softLimit(RLIMIT_STACK).map { $0 < UInt64(stackBytesMin) } ?? false }
}
