import Testing

@testable import TestSupport

/// The contract that scripts and people meet: what is printed where, and the exit codes. One run at a time: each keeps two
/// cores busy.
@Suite(.serialized, .timeLimit(.minutes(10))) struct CommandLineContract {}
