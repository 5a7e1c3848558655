import CUring

/// What a `UringQueue` asks of the kernel. A run uses the defaults; the rest is there to measure what each brings.
package struct UringSettings: Sendable {
    /// When completions are worked on (io_uring_setup(2)).
    package enum Setup: String, Sendable, CaseIterable {
        /// Only when the writer asks for them: `SINGLE_ISSUER | DEFER_TASKRUN`.
        case deferred
        /// At the writer's next system call: `COOP_TASKRUN`.
        case cooperative
        /// By interrupting the writer.
        case plain
        /// Submissions are taken by a kernel thread: `SQPOLL`.
        case polled

        /// Newest first: an older kernel answers EINVAL to what it does not know.
        var flags: [UInt32] {
            switch self {
            case .deferred: [cu_setup_single_issuer | cu_setup_defer_taskrun, cu_setup_coop_taskrun, 0]
            case .cooperative: [cu_setup_coop_taskrun, 0]
            case .plain: [0]
            case .polled: [cu_setup_sqpoll]
            }
        }
    }

    package var setup = Setup.deferred
    package var registersFile = true

    package init() {}
}
