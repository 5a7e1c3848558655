import CUring
import StreamDisk

/// How the writer submits to the disk. A transfer uses `deferred`; the others exist to measure its benefit
/// (docs/decisions/0003).
enum ProbeEngine: String, CaseIterable {
    /// The kernel handles completions only when the writer asks for them: `SINGLE_ISSUER | DEFER_TASKRUN`.
    case deferred
    /// The kernel handles completions at the writer's next system call: `COOP_TASKRUN`.
    case cooperative
    /// The kernel interrupts the writer for completions.
    case plain
    /// A kernel thread takes the submissions: `SQPOLL`.
    case polled
    /// Without io_uring.
    case pwrite

    func queue(_ descriptor: Int32, capacity: Int, registersFile: Bool) throws -> HostQueue {
        let setups: [UInt32]
        switch self {
        case .deferred: setups = UringQueue.setupFlags
        case .cooperative: setups = [cu_setup_coop_taskrun]
        case .plain: setups = [0]
        case .polled: setups = [cu_setup_sqpoll]
        case .pwrite: return HostQueue(pwrite: try PwriteQueue(fileDescriptors: [descriptor], capacity: capacity))
        }
        return HostQueue(
            uring: try UringQueue(
                fileDescriptors: [descriptor], capacity: capacity, setups: setups, registersFile: registersFile))
    }
}
