"""The image under test: the Debian root on three partitions (ESP, ext4, one without a file system), packed by the program."""
import dataclasses
import hashlib
import os
import pathlib
import shutil
import uuid

import roots
from common import CACHE, MIB, PROGRAM, TREE, blank, run, say, sha256

ESP_TYPE, ROOT_TYPE, DATA_TYPE = ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
                                  "0FC63DAF-8483-4772-8E79-3D69D8477DE4")
ESP_MIB, DATA_BYTES, ROOT_SPARE_MIB = 40, (24 << 20) - 3 * 4096, 48
MASKED = ["getty@tty1.service", "serial-getty@ttyS0.service", "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer",
          "systemd-timesyncd.service", "e2scrub_all.timer", "e2scrub_reap.service", "dpkg-db-backup.timer"]
REPORT_UNIT = """[Unit]
Description=Report to the console, then power off
After=multi-user.target local-fs.target
ConditionKernelCommandLine=!stream-disk
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/usr/local/sbin/boot-report
TimeoutStartSec=300
[Install]
WantedBy=multi-user.target
"""


@dataclasses.dataclass
class Image:
    file: pathlib.Path
    lba: int
    size: int
    hash: str
    kernel: pathlib.Path
    root_file: pathlib.Path  # the ext4 root by itself
    root_guid: str
    report: list  # the lines that the booted system must say


class Builder:
    """Makes the parts that images for both block sizes share, then images."""

    def __init__(self):
        self.work = CACHE / "image"
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.tree = roots.system()
        self.guids = {name: str(uuid.uuid4()) for name in ("esp", "root", "data")}
        self.machine = uuid.uuid4().hex
        self.kernel = next(self.tree.glob("boot/vmlinuz-*"))
        self.command_line = (f"root=PARTUUID={self.guids['root']} rootfstype=ext4 ro panic=-1 console=ttyS0 loglevel=4 "
                             "systemd.show_status=false")
        (self.work / "data.img").write_bytes(os.urandom(DATA_BYTES))
        self._configure()
        self._root()

    def _write(self, path, text, mode=0o644):
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def _link(self, path, target):
        link = self.tree / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    def _configure(self):
        self._write("etc/machine-id", self.machine + "\n")
        self._write("etc/hostname", "boot-test\n")
        self._write("etc/fstab", f"PARTUUID={self.guids['root']} / ext4 ro 0 0\n"
                    f"PARTUUID={self.guids['esp']} /boot/efi vfat ro,nofail 0 0\n")
        (self.tree / "boot/efi").mkdir(exist_ok=True)
        self._write("etc/boot-test/data-bytes", f"{DATA_BYTES}\n")
        self._write("usr/local/sbin/boot-report", (TREE / "Tests/Boot/report.sh").read_text(), 0o755)
        self._write("etc/systemd/system/boot-report.service", REPORT_UNIT)
        self._link("etc/systemd/system/multi-user.target.wants/boot-report.service", "../boot-report.service")
        for unit in MASKED:
            self._link(f"etc/systemd/system/{unit}", "/dev/null")
        self._recipe()
        # What the system must find again: every program.
        sums = []
        for folder in ("usr/bin", "usr/sbin", "usr/lib/systemd"):
            for file in sorted((self.tree / folder).iterdir()):
                if file.is_file() and not file.is_symlink():
                    sums.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  /{folder}/{file.name}\n")
        self.files = len(sums)
        self._write("etc/boot-test/files", "".join(sums))

    def _recipe(self):
        """The example's unit: started with the word 'stream-disk', the system writes another disk (docs/UNATTENDED.md)."""
        shutil.copy(PROGRAM, self.tree / "usr/bin/stream-disk")
        shutil.copy(TREE / "examples/systemd/stream-disk.service", self.tree / "etc/systemd/system/stream-disk.service")
        self._link("etc/systemd/system/multi-user.target.wants/stream-disk.service", "../stream-disk.service")
        self._write("etc/stream-disk.conf", "IMAGE=http://10.0.2.2/os-512.cosi\nHASH=ignored\nOPTIONS=--verify\n")
        self._write("etc/systemd/network/80-dhcp.network", "[Match]\nType=ether\n[Network]\nDHCP=yes\n")
        for unit in ("systemd-networkd.service", "systemd-networkd-wait-online.service"):
            self._link(f"etc/systemd/system/multi-user.target.wants/{unit}", f"/lib/systemd/system/{unit}")
            drop_in = "[Unit]\nConditionKernelCommandLine=stream-disk\n"
            self._write(f"etc/systemd/system/{unit}.d/only-to-stream.conf", drop_in)
        self._link("etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service",
                   "/lib/systemd/system/systemd-networkd-wait-online.service")

    def _root(self):
        """ext4 of the tree without what lies on the ESP; with the room that a file system in use has."""
        say("making the ext4 root")
        staged = self.work / "root"
        run("cp", "-a", "--reflink=auto", self.tree, staged)
        for pattern in ("boot/vmlinuz-*", "boot/initrd*", "boot/System.map-*", "var/cache/apt/archives/*.deb",
                        "var/lib/apt/lists/*"):
            for file in staged.glob(pattern):
                if file.is_file():
                    file.unlink()
        used = int(run("du", "-sm", staged).split()[0])
        self.root_file = blank(self.work / "root.img", (used + used // 8 + ROOT_SPARE_MIB) * MIB)
        run("mkfs.ext4", "-q", "-F", "-b", 4096, "-m", 0, "-L", "root", "-d", staged, self.root_file)
        shutil.rmtree(staged)

    def _esp(self, lba):
        """systemd-boot where firmware looks for removable media, one entry, the kernel. It needs no initramfs."""
        file = blank(self.work / "esp.img", ESP_MIB * MIB)
        run("mkfs.vfat", "-S", lba, "-s", 1 if lba == 4096 else 4, "-n", "ESP", file)
        folder = self.work / "esp"
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("EFI/BOOT", "loader/entries"):
            (folder / part).mkdir(parents=True)
        shutil.copy(self.tree / "usr/lib/systemd/boot/efi/systemd-bootx64.efi", folder / "EFI/BOOT/BOOTX64.EFI")
        shutil.copy(self.kernel, folder / "linux")
        (folder / "loader/loader.conf").write_text("timeout 0\n")
        (folder / "loader/entries/boot-test.conf").write_text(f"title boot-test\nlinux /linux\noptions {self.command_line}\n")
        run("mcopy", "-s", "-i", file, folder / "EFI", folder / "loader", folder / "linux", "::",
            env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
        return file

    def image(self, lba, serve):
        """Packs one for that block size into the folder that is served."""
        say(f"making the image for blocks of {lba} bytes")
        files = {"esp": self._esp(lba), "data": self.work / "data.img", "root": self.root_file}
        types = {"esp": ESP_TYPE, "root": ROOT_TYPE, "data": DATA_TYPE}
        numbers = {"esp": 1, "root": 2, "data": 3}
        # The root is last on the disk, as in images that are made to grow.
        script, place, begins = "label: gpt\n", MIB, {}
        for name, file in files.items():
            begins[name] = place
            blocks = -(-os.path.getsize(file) // lba)
            script += (f"{numbers[name]} : start={place // lba}, size={blocks}, type={types[name]}, "
                       f"uuid={self.guids[name].upper()}, name=\"{name}\"\n")
            place += -(-blocks * lba // MIB) * MIB
        raw = blank(self.work / "disk.raw", place + MIB)
        (self.work / "layout").write_text(script)
        # fdisk is the one partitioner that takes a file's block size as an option.
        run("sh", "-c", "printf 'I\\n%s\\nw\\n' \"$2\" | fdisk -b \"$1\" \"$3\"", "sh", lba, self.work / "layout", raw)
        for name, file in files.items():
            run("dd", f"if={file}", f"of={raw}", "bs=1M", "oflag=seek_bytes", f"seek={begins[name]}", "conv=notrunc,sparse")
        size, out = raw.stat().st_size, serve / f"os-{lba}.cosi"
        out.unlink(missing_ok=True)
        pack(raw, out, lba)
        raw.unlink()
        metadata = run("tar", "-xOf", out, "metadata.json")
        report = [f"machine-id {self.machine}", f"files {self.files} OK", f"data {sha256(self.work / 'data.img')}",
                  "sgdisk No problems found", "failed-units 0", "REPORT end", *self.guids.values()]
        return Image(out, lba, size, "sha384:" + hashlib.sha384(metadata.encode()).hexdigest(), self.kernel,
                     self.root_file, self.guids["root"], report)


def pack(raw, out, lba):
    run(PROGRAM, "pack", raw, out, "--block-size", lba)
