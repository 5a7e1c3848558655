import Foundation
import Glibc
import Testing

@testable import TestSupport

/// One file or disk under several loop devices: the kernel keeps nobody from using it by one of them while another writes it.
@Suite(.timeLimit(.minutes(10)), .enabled(if: LoopDevice.isAvailable, LoopDevice.needs)) struct SharedDiskTests {
    /// A disk, and two more loop devices: over it, and over its file.
    private func withThree(_ body: (SampleImage, LoopDevice, [String]) throws -> Void) throws {
        let image = try SampleImage.make()
        try LoopDevice.with(sizeBytes: image.diskBytes) { device in
            var others: [String] = []
            defer { for other in others { _ = try? run("losetup", ["--detach", other]) } }
            for below in [device.path, device.backingFile.path] {
                others.append(
                    try run("losetup", ["--find", "--show", below]).trimmingCharacters(in: .whitespacesAndNewlines))
            }
            try body(image, device, others)
        }
    }

    private func expectRefusal(_ code: Int32, _ image: SampleImage, _ disk: String, says: [String]) throws {
        let before = try sha256(of: disk)
        let ended = try Program.run([image.path, "--disk", disk, "--yes", "-q"])
        expectFailure(ended, code, says: says + ["Nothing was written"])
        #expect(try sha256(of: disk) == before)
    }

    @Test("A file system that is mounted by another loop device keeps its bytes.")
    func mounted() throws {
        try withThree { image, device, others in
            try withTemporaryFolder { folder in
                try run("mkfs.ext4", ["-q", device.path])
                try run("mount", ["-o", "ro", device.path, folder.path])
                defer { _ = try? run("umount", [folder.path]) }
                for other in others {
                    try expectRefusal(78, image, other, says: [other, "\(device.name) is mounted on \(folder.path)"])
                }
                // To compare harms nobody.
                let compared = try Program.run(["verify", image.path, "--disk", others[1]])
                #expect(compared.code == 74 && compared.errors.contains("\(device.name) is mounted on"), "\(compared.errors)")
            }
        }
    }

    @Test("What somebody has locked or open exclusively by another loop device, or by the file, is in use.")
    func held() throws {
        try withThree { image, device, others in
            for other in others {
                for path in [device.path, device.backingFile.path] where path == device.path || other == others[1] {
                    let holder = unsafe open(path, O_RDONLY | O_CLOEXEC)
                    #expect(flock(holder, LOCK_EX) == 0)
                    try expectRefusal(75, image, other, says: [path, "lock"])
                    close(holder)
                }
                let holder = unsafe open(device.path, O_RDONLY | O_EXCL | O_CLOEXEC)
                try expectRefusal(78, image, other, says: [device.path, "open exclusively"])
                close(holder)
            }
            // A virtual machine has the file.
            let guest = unsafe open(device.backingFile.path, O_RDONLY | O_CLOEXEC)
            var lock = Glibc.flock(l_type: Int16(F_RDLCK), l_whence: Int16(SEEK_SET), l_start: 100, l_len: 1, l_pid: 0)
            #expect(unsafe fcntl(guest, setOpenFileLock, &lock) == 0)
            for other in others { try expectRefusal(78, image, other, says: ["virtual machine"]) }
            close(guest)
            // Nobody is left.
            for other in others { #expect(try Program.run([image.path, "--disk", other, "--dry-run", "-q"]).code == 0) }
        }
    }
}
