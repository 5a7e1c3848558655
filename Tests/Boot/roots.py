"""Two Debian roots, made once and kept: the system that is packed, and the one in which initramfs images are made."""
import hashlib
import shutil

from common import CACHE, MIRROR, run, say

SYSTEM = ("systemd-sysv,udev,linux-image-cloud-amd64,kmod,gdisk,util-linux,e2fsprogs,zstd,systemd-boot-efi,libcurl4,libxxhash0,"
          "liburing2,libblkid1,ca-certificates")
BUILDER = SYSTEM + (",initramfs-tools,busybox-static,dracut-core,dracut-network,iproute2,iputils-arping,isc-dhcp-client,cpio,"
                    "binutils,procps")
OPTIONS = ["--variant=minbase", "--mode=root", "--aptopt=Acquire::Languages \"none\""] + [
    f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]


def root(name, packages):
    """The folder of that root. Made anew when the list of packages changes."""
    folder, stamp = CACHE / name, CACHE / f"{name}.stamp"
    wanted = hashlib.sha256(f"{packages} {OPTIONS}".encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and folder.is_dir():
        return folder
    say(f"making the Debian root '{name}'")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    # Not /dev and the like: mmdebstrap has unmounted its own by then, and ours come and go with each use.
    run("mmdebstrap", *OPTIONS, f"--include={packages}", "bookworm", folder, MIRROR, limit=900)
    stamp.write_text(wanted)
    return folder


def system():
    return root("system", SYSTEM)


def builder():
    return root("builder", BUILDER)


if __name__ == "__main__":
    system()
    builder()
