"""The provisioning initramfs images, made in a Debian root by dracut and by initramfs-tools from the packages under test, and
what a case adds: a second archive behind the first, which the kernel unpacks over it."""
import os
import pathlib
import shutil
import subprocess

import roots
from common import CACHE, Failure, TREE, run, say

# Both run in the initramfs, as units of the two targets or as scripts of initramfs-tools.
BEFORE = r"""#!/bin/sh
word() { sed -n "s/.*\bboottest\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
{
echo "BEFORE at $(cut -d ' ' -f 1 /proc/uptime) s"
stream-disk disks
cat /proc/partitions
mounted=$(word mount)
if [ -n "$mounted" ]; then
    modprobe ext4
    mkdir -p /run/boot-test
    mount -o ro "$mounted" /run/boot-test && echo "BEFORE mounted $mounted"
fi
locked=$(word lock)
if [ -n "$locked" ]; then
    boot-test-flock --exclusive "$locked" sleep 1000 &
    sleep 1
    echo "BEFORE locked $locked"
fi
} >/dev/console 2>&1
"""
AFTER = r"""#!/bin/sh
{ echo "AFTER at $(cut -d ' ' -f 1 /proc/uptime) s" $(ls /dev | grep -E '^(nvme.*n1p|[sv]d[a-z])[0-9]'); } >/dev/console 2>&1
"""
UNIT = """[Unit]
DefaultDependencies=no
Before=stream-disk-{when}.target
[Service]
Type=oneshot
# What holds the lock stays when the script has ended.
KillMode=process
ExecStart=/boot-test/{when}
"""


def build(debs):
    """{'dracut': path, 'initramfs-tools': path}"""
    root = roots.builder()
    version = next(root.glob("boot/vmlinuz-*")).name.removeprefix("vmlinuz-")
    for deb in debs:
        shutil.copy(deb, root / "tmp")
    mounts = ("proc", "sys", "dev")
    out, images = CACHE / "initramfs", {}
    out.mkdir(exist_ok=True)
    try:
        for name in mounts:
            run("mount", "--rbind", "--make-rslave", f"/{name}", root / name)
        run("chroot", root, "dpkg", "--force-depends", "-i", *[f"/tmp/{pathlib.Path(deb).name}" for deb in debs],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        for name, command in {
                "dracut": ["dracut", "--force", "--no-hostonly", "--no-hostonly-cmdline", "--zstd", "--add", "stream-disk",
                           "--kver", version, "/boot/dracut.img"],
                "initramfs-tools": ["mkinitramfs", "-o", "/boot/initramfs-tools.img", version]}.items():
            say(f"making the initramfs with {name}")
            log = run("chroot", root, *command, env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            (out / f"{name}.log").write_text(log)
            images[name] = out / f"{name}.img"
            shutil.copy(root / f"boot/{name}.img", images[name])
            say(f"initramfs of {name}: {images[name].stat().st_size / 1e6:.1f} MB")
    finally:
        for name in mounts:
            subprocess.run(["umount", "-R", "-l", str(root / name)], check=False)
    return images


def example():
    """examples/initramfs, from the tarball."""
    tarball = max((TREE / ".build/packages").glob("stream-disk-*-linux-*.tar.gz"), key=lambda file: file.stat().st_mtime)
    out = CACHE / "initramfs/example.img"
    say("making the example's initramfs")
    run(TREE / "examples/initramfs/build", tarball, out, roots.builder(), "virtio_pci", "virtio_net", "nvme")
    say(f"initramfs of the example: {out.stat().st_size / 1e6:.1f} MB")


def extended(images):
    """The same images with the test's own archive behind them."""
    folder = CACHE / "initramfs" / "added"
    shutil.rmtree(folder, ignore_errors=True)

    def write(path, text, mode=0o755):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        (folder / path).chmod(mode)
    for when, script in (("pre", BEFORE), ("post", AFTER)):
        write(f"boot-test/{when}", script)
        write(f"etc/systemd/system/boot-test-{when}.service", UNIT.format(when=when), 0o644)
        wants = folder / f"etc/systemd/system/stream-disk-{when}.target.wants"
        wants.mkdir()
        (wants / f"boot-test-{when}.service").symlink_to(f"../boot-test-{when}.service")
        write(f"scripts/stream-disk-{when}/ORDER", f"/boot-test/{when} \"$@\"\n")
    (folder / "usr/bin").mkdir(parents=True)
    shutil.copy(roots.builder() / "usr/bin/flock", folder / "usr/bin/boot-test-flock")
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "--owner=0:0"], cwd=folder, check=True, capture_output=True,
                             input="\n".join(sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))).encode()).stdout
    result = {}
    for name, image in images.items():
        first = image.read_bytes()
        result[name] = image.with_suffix(".test.img")
        result[name].write_bytes(first + bytes(-len(first) % 512) + archive)
    return result


def uki(work, kernel, initramfs, command_line):
    """A unified kernel image: kernel, initramfs and command line in one EFI program (systemd-stub(7), by objcopy)."""
    root = roots.builder()
    stub = root / "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
    (work / "cmdline").write_text(command_line)
    headers = run("objdump", "-h", stub)
    end = max((int(words[3], 16) + int(words[2], 16) for words in map(str.split, headers.splitlines())
               if len(words) > 3 and words[0].isdigit()), default=0)
    if not end:
        raise Failure("systemd's stub has no sections")
    options, place = [], end
    for name, file in ((".osrel", root / "etc/os-release"), (".cmdline", work / "cmdline"), (".linux", kernel),
                       (".initrd", initramfs)):
        place = -(-place // 0x10000) * 0x10000
        options += ["--add-section", f"{name}={file}", "--change-section-vma", f"{name}={place:#x}"]
        place += pathlib.Path(file).stat().st_size
    out = work / "stream-disk.efi"
    run("objcopy", *options, stub, out)
    return out


def packages():
    """The packages under test, as packaging made them last."""
    names = ("stream-disk", "dracut-stream-disk", "stream-disk-initramfs")
    found = [(TREE / ".build/packages").glob(f"{name}_*.deb") for name in names]
    return [max(files, key=lambda file: file.stat().st_mtime) for files in found]
