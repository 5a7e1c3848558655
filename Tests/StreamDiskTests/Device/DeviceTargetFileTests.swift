import CLinux
import Foundation
import Glibc
import Testing

@testable import StreamDisk
@testable import TestSupport

private let mib: UInt64 = 1 << 20

private func open(
    _ path: String, _ sizeBytes: UInt64, blockSize: Int = 512, access: TargetDisk.Access = .readWrite
) throws -> TargetDisk {
    try Opening(
        path: path, requirement: DiskRequirement(sizeBytes: sizeBytes, blockBytes: blockSize), access: access,
        lockTimeoutSeconds: 0.2
    ).open()
}

private func refusal(_ path: String, _ sizeBytes: UInt64 = 1) -> DiskSelectionError? {
    #expect(throws: DiskSelectionError.self) { _ = try open(path, sizeBytes) }
}

/// Regular files taken for disks, and what is neither: none of it needs root.
@Suite struct DeviceTargetFileTests {
    private func file(_ folder: URL, sizeBytes: UInt64) throws -> String {
        let file = folder.appending(path: "disk.raw")
        try Data().write(to: file)
        let handle = try FileHandle(forWritingTo: file)
        try handle.truncate(atOffset: sizeBytes)
        try handle.close()
        return file.path
    }

    @Test(arguments: [512, 4096])
    func aFileIsTakenForADisk(blockSize: Int) throws {
        try withTemporaryFolder { folder in
            let path = try file(folder, sizeBytes: 2 * mib + 100)
            let target = try open(path, 2 * mib, blockSize: blockSize)
            #expect(target.info == nil && target.blockBytes == blockSize)
            #expect(target.sizeBytes == 2 * mib)
            #expect(target.notes.contains("the last 100 bytes are no whole block and stay as they are"))
            #expect(target.resolvedPath == path)
            #expect(target.info == nil)
            #expect(target.rereadPartitionTable() == .notABlockDevice)
            // Whatever the file system says: a block at an odd multiple of the block size can be written and read.
            #expect((fcntl(target.fileDescriptor, F_GETFL) & cl_O_DIRECT != 0) == target.isDirect)
            let why = target.notes.filter { $0.contains("direct I/O") }
            #expect(why.count == (target.isDirect ? 0 : 1))
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: blockSize, alignment: 4096)
            defer { unsafe memory.deallocate() }
            unsafe memory.initializeMemory(as: UInt8.self, repeating: 0x5a)
            #expect(4096 % target.memoryAlignmentBytes == 0)
            let number = target.fileDescriptor
            #expect(unsafe pwrite(number, memory.baseAddress, blockSize, off_t(3 * blockSize)) == blockSize)
            #expect(unsafe pread(number, memory.baseAddress, blockSize, off_t(3 * blockSize)) == blockSize)
            #expect(unsafe memory.allSatisfy { $0 == 0x5a })
            try target.close()
        }
    }

    @Test func aFileUnderAnotherRunIsBusy() throws {
        try withTemporaryFolder { folder in
            let path = try file(folder, sizeBytes: mib)
            let first = try open(path, mib)
            #expect(refusal(path)?.kind == .busy)
            try first.close()
            try open(path, mib).close()
        }
    }

    @Test func twoThatOnlyReadAFileDoNotHinderEachOther() throws {
        try withTemporaryFolder { folder in
            let path = try file(folder, sizeBytes: mib)
            let first = try open(path, mib, access: .readOnly)
            let second = try open(path, mib, access: .readOnly)
            #expect(refusal(path)?.kind == .busy)
            try first.close()
            try second.close()
        }
    }

    @Test func aFileOneByteTooSmallIsTooSmall() throws {
        try withTemporaryFolder { folder in
            let path = try file(folder, sizeBytes: mib - 1)
            let error = refusal(path, mib)
            #expect(error?.kind == .tooSmall)
            #expect(
                error?.reason == "too small: 1.0 MiB (1048576 bytes) needed, it has 1023.9 KiB (1048575 bytes)")
        }
    }

    @Test func whatIsNoDiskIsRefusedByItsKind() throws {
        try withTemporaryFolder { folder in
            #expect(refusal(folder.path)?.kind == .notADisk)
            #expect(refusal(folder.path)?.reason == "a directory, not a disk")
            #expect(refusal("/dev/null")?.reason == "a character device, not a disk")
            let pipe = folder.appending(path: "pipe").path
            #expect(unsafe mkfifo(pipe, 0o600) == 0)
            #expect(refusal(pipe)?.reason == "a pipe, not a disk")
            let missing = folder.appending(path: "missing").path
            let expected = DiskSelectionError(.notFound, path: missing, reason: "there is no such disk or file")
            #expect(refusal(missing) == expected)
            #expect(refusal("")?.reason == "there is no such disk or file")
            let path = try file(folder, sizeBytes: mib)
            #expect(refusal(path + "\0.raw")?.reason == "not a path")
            #expect(refusal(path + "/x")?.kind == .cannotOpen)
        }
    }

    @Test func whatMayNotBeOpenedIsNotPermitted() throws {
        try withTemporaryFolder { folder in
            let path = try file(folder, sizeBytes: mib)
            // An immutable file, or for others than root one without permissions, gives the kernel's own refusal.
            if geteuid() == 0 {
                guard (try? run("chattr", ["+i", path])) != nil else { return }
            } else {
                #expect(unsafe chmod(path, 0) == 0)
            }
            defer { if geteuid() == 0 { _ = try? run("chattr", ["-i", path]) } }
            let error = refusal(path)
            #expect(error?.kind == .notPermitted)
            #expect(error?.path == path)
        }
    }

    @Test(
        arguments: [
            (EACCES, .notPermitted), (EPERM, .notPermitted), (EROFS, .readOnly), (ENOENT, .notFound), (ENXIO, .noMedium),
            (ENOMEDIUM, .noMedium), (EIO, .cannotOpen),
        ] as [(Int32, DiskSelectionError.Kind)])
    func everyRefusalOfTheKernelHasItsKind(code: Int32, kind: DiskSelectionError.Kind) {
        let opening = Opening(
            path: "/dev/x", requirement: DiskRequirement(sizeBytes: 1, blockBytes: 512), access: .readWrite)
        #expect(opening.failure(SystemError(code)).kind == kind)
    }
}
