import CLinux
import Foundation
import Glibc
import Synchronization
import Testing

@testable import StreamDisk
@testable import TestSupport

@Suite("Descriptors") struct DescriptorTests {
    @Test("An open file never gets a number from 0 to 2, also where those are free")
    func numbers() async {
        await #expect(processExitsWith: .success) {
            for number in 0...2 as ClosedRange<Int32> { close(number) }
            let file = try Descriptor(opening: "/", O_RDONLY)
            let waker = try EventWaker()
            // Nothing was left behind under the low numbers.
            let isRight = file.number > 2 && waker.descriptor > 2 && (0...2).allSatisfy { fcntl($0, F_GETFD) < 0 }
            exit(isRight ? 0 : 1)
        }
    }
}
