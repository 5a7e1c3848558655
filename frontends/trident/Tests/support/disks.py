"""Loop devices, and disks compared by other programs than ours."""
import subprocess
import uuid

from .paths import IMAGES, WORK


class LoopDisk:
    """A loop device full of old bytes, over a file of its own."""

    def __init__(self, size, sector=512):
        self.file = WORK / f"disk-{uuid.uuid4()}"
        # Bytes that are no image's and no partition table; sparse beyond them.
        with open(self.file, "wb") as file:
            file.write(b"old bytes " * 6554)
            file.truncate(size)
        try:
            self.path = subprocess.run(
                ["losetup", "--find", "--show", "--sector-size", str(sector), self.file],
                check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        except subprocess.CalledProcessError:
            self.file.unlink()
            raise

    def remove(self):
        subprocess.run(["losetup", "--detach", self.path], check=False)
        self.file.unlink(missing_ok=True)

    def digest(self):
        """SHA-256 of everything on it, by sha256sum."""
        subprocess.run(["blockdev", "--flushbufs", self.path], check=True)
        return subprocess.run(["sha256sum", self.path], check=True, stdout=subprocess.PIPE).stdout.split()[0]

    def has_table(self):
        """Whether sgdisk's idea of a GPT, primary or backup, is on it."""
        with open(self.path, "rb") as disk:
            head = disk.read(8192)
            disk.seek(-4096, 2)
            tail = disk.read()
        return b"EFI PART" in head + tail


def check(image, path):
    """What check-disk finds wrong with a disk, by sgdisk, fsck, dd and sha256sum; empty when it is the image's."""
    run = subprocess.run([IMAGES / "check-disk", image.manifest_path, path], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    return "" if run.returncode == 0 else run.stdout
