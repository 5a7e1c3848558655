/// The exit codes of the command line (sysexits.h), a stable contract with scripts. They are in the library so that every
/// program built on it returns the same code for the same fault.
package enum ExitCodes {
    package static let done: Int32 = 0
    package static let usage: Int32 = 64
    package static let invalidImage: Int32 = 65
    package static let noImage: Int32 = 66
    package static let unreachable: Int32 = 69
    package static let software: Int32 = 70
    package static let deviceFailed: Int32 = 74
    package static let busy: Int32 = 75
    package static let unsupportedServer: Int32 = 76
    package static let notPermitted: Int32 = 77
    package static let unusableDisk: Int32 = 78
    /// Exit code for SIGINT. Other signals also give 128 plus their number.
    package static let interrupted: Int32 = 130
}
