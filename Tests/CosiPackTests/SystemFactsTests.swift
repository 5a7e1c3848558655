import CosiFormat
import CosiPack
import Foundation
import Glibc
import StreamDisk
import Testing

@testable import TestSupport

@Suite("What a system on a disk says of itself")
struct SystemFactsTests {
    private static let esp = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    private static let linux = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

    /// A file with a FAT at 1 MiB, an ext4 at 41 MiB, swap space at 141 MiB, and what else `script` puts into the folder's `root` and `esp`.
    private func facts(_ script: String, root: Int? = nil, form: String = "mkfs.ext4 -q -F") throws -> SystemFacts {
        let folder = try TemporaryFolder()
        try SampleFilesystem.shell(
            """
            export MTOOLS_SKIP_CHECK=1; cd '\(folder.path)'
            mkdir -p root/etc root/usr/lib root/usr/bin root/var/lib/dpkg root/boot/efi esp/loader/entries esp/EFI/Linux
            printf 'ID=debian\\nNAME="Debian \\303\\237"\\n' > root/usr/lib/os-release
            ln -s ../usr/lib/os-release root/etc/os-release
            cp /usr/bin/env root/usr/bin/env
            \(script)
            truncate -s 40M esp.img; mkfs.vfat -F 16 -i A1B2C3D4 -n ESP esp.img > /dev/null; mcopy -s -i esp.img esp/* ::
            truncate -s 300M root.img; \(form.replacing("mkfs.ext4", with: "mkfs.ext4 -d root")) root.img
            truncate -s 8M swap.img; mkswap -U 11111111-2222-3333-4444-555555555555 swap.img > /dev/null
            truncate -s 400M disk
            dd if=esp.img of=disk bs=1M seek=1 conv=notrunc,sparse status=none
            dd if=root.img of=disk bs=1M seek=41 conv=notrunc,sparse status=none
            dd if=swap.img of=disk bs=1M seek=350 conv=notrunc,sparse status=none
            """)
        let descriptor = unsafe open(folder.path + "/disk", O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let places: [(UInt64, UInt64, String)] = [(1, 40, Self.esp), (41, 300, Self.linux), (350, 8, Self.linux)]
        let partitions = try places.enumerated().map { index, place in
            let found = examine(descriptor: descriptor, offsetBytes: place.0 << 20, sizeBytes: place.1 << 20)
            return SystemPartition(
                number: index + 1, offsetBytes: place.0 << 20, sizeBytes: place.1 << 20, type: try #require(GUID(place.2)),
                uniqueID: try #require(GUID("00000000-0000-0000-0000-00000000000\(index + 1)")), name: "part\(index + 1)",
                signature: found.signature)
        }
        let facts = findSystemFacts(descriptor: descriptor, partitions: partitions, root: root)
        #expect(try run("losetup", ["--associated", folder.path + "/disk"]).isEmpty)
        return facts
    }

    private static let status = """
        cat > root/var/lib/dpkg/status <<'END'
        Package: base-files
        Status: install ok installed
        Architecture: amd64
        Version: 12.4+deb12u5
        Description: files
         Version: of no field

        Package: gone
        Status: deinstall ok config-files
        Architecture: amd64
        Version: 1-2

        Package: bash
        Status: install ok installed
        Architecture: amd64
        Version: 1:5.2.15-2+b7
        END
        """

    @Test("Release, machine, packages, mount points and grub are found on ext4 and FAT without mounting")
    func grub() throws {
        let facts = try facts(
            """
            \(Self.status)
            printf '# comment\\nPARTUUID=00000000-0000-0000-0000-000000000002 / ext4 defaults 0 1\\nUUID=A1B2-C3D4\\t/boot/efi/ vfat x\\n' > root/etc/fstab
            printf 'UUID="11111111-2222-3333-4444-555555555555" none swap sw 0 0\\n/dev/sda9 /data ext4 x\\ntmpfs /tmp tmpfs x\\n' >> root/etc/fstab
            mkdir -p esp/EFI/debian; echo x > esp/EFI/debian/grubx64.efi
            """)
        #expect(facts.rootPartition == 2)
        #expect(facts.osRelease == "ID=debian\nNAME=\"Debian ß\"\n")
        #if arch(x86_64)
        #expect(facts.osArch == .x86_64)
        #else
        #expect(facts.osArch == .arm64)
        #endif
        #expect(
            facts.osPackages == [
                .init(name: "base-files", version: "12.4+deb12u5", release: "", arch: "amd64"),
                .init(name: "bash", version: "1:5.2.15", release: "2+b7", arch: "amd64"),
            ])
        #expect(facts.mountPoints == [1: "/boot/efi", 2: "/", 3: "swap"])
        #expect(facts.bootloader == .init(type: "grub", entries: []))
        #expect(facts.warnings.count == 1 && facts.warnings[0].contains("/dev/sda9"))
    }

    @Test("Entries of systemd-boot and unified kernel images are read from the ESP")
    func systemdBoot() throws {
        let facts = try facts(
            """
            mkdir -p esp/EFI/systemd; echo x > esp/EFI/systemd/systemd-bootx64.efi
            printf 'title Linux\\nlinux /linux-6.1\\noptions root=UUID=1\\noptions quiet rw\\n' > esp/loader/entries/debian-6.1.conf
            python3 - <<'END'
            import struct
            parts = [(b".cmdline", b"root=LABEL=x roothash=abcd\\0"), (b".uname", b"6.1.0-9"), (b".linux", b"k" * 5000)]
            head = bytearray(b"MZ".ljust(60, b"\\0") + struct.pack("<I", 64) + b"PE\\0\\0" + struct.pack("<HHIIIHH", 0x8664, len(parts), 0, 0, 0, 0, 0))
            at, body = 512, b""
            for name, data in parts:
                head += name.ljust(8, b"\\0") + struct.pack("<IIII", len(data), 0x1000, (len(data) + 511) // 512 * 512, at + len(body)) + bytes(16)
                body += data.ljust((len(data) + 511) // 512 * 512, b"\\0")
            open("esp/EFI/Linux/one.efi", "wb").write(head.ljust(512, b"\\0") + body)
            END
            """)
        #expect(facts.mountPoints == [1: "/boot/efi", 2: "/", 3: "swap"])
        #expect(
            facts.bootloader
                == .init(
                    type: "systemd-boot",
                    entries: [
                        .init(
                            type: "config", path: "/boot/efi/loader/entries/debian-6.1.conf", cmdline: "root=UUID=1 quiet rw",
                            kernel: "/linux-6.1"),
                        .init(
                            type: "uki-standalone", path: "/boot/efi/EFI/Linux/one.efi", cmdline: "root=LABEL=x roothash=abcd",
                            kernel: "6.1.0-9"),
                    ]))
        #expect(facts.osPackages == nil)
    }

    @Test("A link on the image never leads out of it")
    func links() throws {
        let facts = try facts(
            """
            rm root/etc/os-release root/usr/lib/os-release
            ln -s ../../../../../../../../etc/hostname root/etc/os-release; ln -s loop root/usr/lib/loop
            ln -s 'a"; cat /etc/passwd' root/usr/lib/os-release
            """, root: 2)
        #expect(facts.osRelease == nil && facts.rootPartition == 2)
    }

    @Test(
        "A root file system of XFS is read by a mount that nobody else sees",
        .enabled(if: LoopDevice.isAvailable, LoopDevice.needs))
    func mounted() throws {
        let facts = try facts(
            Self.status + "\n"
                + """
                rm root/etc/os-release; ln -s /usr/lib/os-release root/etc/os-release
                cat > make <<'END'
                truncate -s 300M $1; mkfs.xfs -q $1; mkdir m; mount -o loop $1 m; cp -a root/. m/; umount m
                END
                """, form: "sh make")
        #expect(facts.rootPartition == 2 && facts.osRelease?.hasPrefix("ID=debian") == true)
        #expect(facts.osPackages?.count == 2)
    }
}
