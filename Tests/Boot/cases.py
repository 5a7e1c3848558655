"""The cases. Each has machines with disks of its own, and ends with a line of times for the summary."""
import re

import disks
import initramfs
import machine
from common import MIB, TREE, Failure, blank, run, sha256
from services import HOST, NAME, CachedDisk, NameServer

LIMIT = 300  # seconds for one machine


class Bench:
    """What the cases share: images by block size, initramfs images by their maker, and the folder that is served."""

    def __init__(self, images, initramfs_images, serve):
        self.images, self.initramfs, self.serve = images, initramfs_images, serve
        self.work = None  # the folder of the case that runs

    def right_size(self, image):
        return -(-image.size // MIB) * MIB + 40 * MIB

    def disk(self, name, size):
        return blank(self.work / f"{name}.raw", size)

    def right(self, image):
        return self.disk("right", self.right_size(image))

    def stream(self, maker, image, drives, words="", limit=LIMIT, on_line=None, log="stream", host=HOST, reboot="poweroff"):
        """Boots the provisioning initramfs of that maker, with the image named on the kernel's command line."""
        line = (f"console=ttyS0 loglevel=4 ip=dhcp streamdisk.image=http://{host}/{image.file.name} "
                f"streamdisk.hash={image.hash} streamdisk.reboot={reboot} {words}")
        return machine.boot(machine.kernel(image.kernel, self.initramfs[maker], line) + drives + machine.NETWORK,
                            self.work / f"{log}.log", limit, on_line)

    def boots(self, image, disk, log="boot"):
        """The firmware starts what is on this disk alone, and the system says that it is whole."""
        return machine.boot(machine.firmware(self.work) + machine.nvme("right", disk, image.lba) + ["-nic", "none"],
                            self.work / f"{log}.log", LIMIT).need(*image.report)


def times(streamed, booted=None):
    """From the kernel's start to 'done', and which part of it is the program's."""
    found = {name: re.search(rf"stream-disk: {name} at ([0-9.]+) s", streamed.text) for name in ("begins", "done")}
    if not all(found.values()):
        raise Failure("the console shows no times")
    begins, done = (float(match[1]) for match in found.values())
    text = f"kernel start to done {done:.1f} s, of which stream-disk {done - begins:.1f} s"
    return text + (f"; boots and reports in {booted.seconds:.0f} s" if booted else "")


def failed_with(ended, code):
    """The run ended with that code, and the emergency shell was there."""
    ended.need(f"stream-disk: failed: exit code {code}: ", "stream-disk failed: the line above says why")


def until_shell(line):
    return "stream-disk failed: the line above says why" in line


def chooses(bench, maker, lba):
    image = bench.images[lba]
    right, right_bytes = bench.right(image), bench.right_size(image)
    mounted = bench.disk("mounted", right_bytes - 8 * MIB)
    run("mkfs.ext4", "-q", "-F", mounted)
    others = {"larger": bench.disk("larger", 2048 * MIB), "other-blocks": bench.disk("other-blocks", right_bytes - 16 * MIB),
              "small": bench.disk("small", 256 * MIB), "mounted": mounted}
    before = {name: sha256(file) for name, file in others.items()}
    streamed = bench.stream(
        maker, image, machine.virtio("small", others["small"]) + machine.virtio("mounted", mounted)
        + machine.nvme("larger", others["larger"], lba) + machine.nvme("right", right, lba)
        + machine.nvme("other-blocks", others["other-blocks"], 4096 if lba == 512 else 512), "boottest.mount=/dev/vdb")
    streamed.need("BEFORE mounted /dev/vdb", "stream-disk: done at ")
    after = re.search(r"AFTER at [0-9.]+ s(.*)", streamed.text)
    nodes = [word for word in (after[1] if after else "").split() if word.startswith("nvme1n1p")]
    if len(nodes) != 3:
        raise Failure(f"partition nodes at the program's end: {nodes}")
    for name, file in others.items():
        if sha256(file) != before[name]:
            raise Failure(f"the disk '{name}' was written")
    return times(streamed, bench.boots(image, right))


def chooses_512(bench):
    """Of five disks, the smallest that fits and that nothing uses is chosen without being named (initramfs-tools)."""
    return chooses(bench, "initramfs-tools", 512)


def chooses_4096(bench):
    """The same with NVMe disks of 4096-byte blocks."""
    return chooses(bench, "initramfs-tools", 4096)


def goes_on(bench):
    """dracut: without a restart, the start goes on into the system that was just written."""
    image = bench.images[512]
    right = bench.right(image)
    ended = bench.stream("dracut", image, machine.nvme("right", right),
                         f"root=PARTUUID={image.root_guid} rootfstype=ext4 ro systemd.show_status=false", reboot="none")
    return times(ended.need(*image.report)) + f"; then the system, in {ended.seconds:.0f} s all in all"


def power_cut(bench):
    """The power fails in mid-write (QEMU killed; cache=writeback: all that the guest wrote is kept): nothing starts from the
    disk. A second run heals it."""
    image = bench.images[512]
    right = bench.right(image)
    run("sgdisk", "-n", "1:0:+300M", right)  # an older system's
    if disks.tables(right, 512) != ["primary", "backup"]:
        raise Failure("there is no partition table to lose")

    def cut(line):
        return re.search(r"stream-disk: .*\b[1-9][0-9]? %", line) is not None
    # So slow that there is a line of progress in mid-write.
    slow = machine.nvme("right", right, bytes_per_second=20 * MIB)
    cut_run = bench.stream("initramfs-tools", image, slow, on_line=cut, log="cut")
    if cut_run.why != "stopped":
        raise Failure("the run was over before the power was cut")
    if disks.tables(right, 512):
        raise Failure("a partition table is valid after the cut")
    firmware = machine.boot(machine.firmware(bench.work) + machine.nvme("right", right) + ["-nic", "none"],
                            bench.work / "nothing.log", 120, lambda line: "Shell>" in line or "UEFI Interactive Shell" in line)
    if firmware.why != "stopped" or "Linux" in firmware.text:
        raise Failure("the firmware does not say that there is nothing to start")
    again = bench.stream("initramfs-tools", image, machine.nvme("right", right), log="again")
    return times(again, bench.boots(image, right))


def volatile_cache(bench):
    """A disk whose cache is lost with the power, which fails at exit code 0: it boots. (nbdkit's cache filter holds all
    writes until a flush; it and QEMU are killed.)"""
    image = bench.images[512]
    right = bench.right(image)
    server = CachedDisk(right, bench.work)

    def cut(line):
        if "stream-disk: done at " in line:
            server.cut()
            return True
        return False
    try:
        ended = bench.stream("initramfs-tools", image, machine.nvme("right", f"nbd:unix:{server.socket}"), on_line=cut)
    finally:
        server.cut()
    ended.need("stream-disk: done at ")
    return times(ended, bench.boots(image, right))


def name_server_late(bench):
    """The name server does not answer for the first seconds; the run waits for it."""
    image = bench.images[512]
    server = NameServer(silent_seconds=12)
    server.start()
    try:
        ended = bench.stream("initramfs-tools", image, machine.nvme("right", bench.right(image)), host=NAME)
    finally:
        server.close()
    ended.need("stream-disk: done at ")
    if not server.unanswered:
        raise Failure("the name server was not asked while it was silent")
    return times(ended) + f"; {server.unanswered} questions without an answer"


def locked(bench):
    """The best disk is locked by another program: 75, nothing written, and the emergency shell of dracut."""
    image = bench.images[512]
    right = bench.right(image)
    larger = bench.disk("larger", 2048 * MIB)
    before = sha256(right), sha256(larger)
    ended = bench.stream("dracut", image, machine.nvme("right", right) + machine.nvme("larger", larger),
                         "boottest.lock=/dev/nvme0n1", on_line=until_shell)
    ended.need("BEFORE locked /dev/nvme0n1")
    failed_with(ended, 75)
    if (sha256(right), sha256(larger)) != before:
        raise Failure("a disk was written")
    return "75, nothing written"


def two_paths(bench):
    """One disk behind two controllers, mounted by one path: the other path is not taken either (78), and nothing written."""
    image = bench.images[512]
    shared = bench.disk("shared", bench.right_size(image))
    run("mkfs.ext4", "-q", "-F", shared)
    before = sha256(shared)
    for name, words in (("unnamed", ""), ("named", "streamdisk.disk=/dev/sdb")):
        ended = bench.stream("initramfs-tools", image, machine.two_paths("shared", shared), f"boottest.mount=/dev/sda {words}",
                             on_line=until_shell, log=name)
        ended.need("BEFORE mounted /dev/sda", "sdb")
        failed_with(ended, 78)
        if sha256(shared) != before:
            raise Failure("the disk was written")
    return "78 by either path, nothing written"


def unified_kernel(bench):
    """A UKI with the dracut initramfs, started by the firmware from a stick, writes the disk; the disk boots."""
    image = bench.images[512]
    right = bench.right(image)
    line = (f"console=ttyS0 loglevel=4 ip=dhcp streamdisk.image=http://{HOST}/{image.file.name} "
            f"streamdisk.hash={image.hash} streamdisk.reboot=poweroff")
    program = initramfs.uki(bench.work, image.kernel, bench.initramfs["dracut"], line)
    stick = bench.disk("stick", 128 * MIB)
    run("mkfs.vfat", stick)
    run("mmd", "-i", stick, "::EFI", "::EFI/BOOT")
    run("mcopy", "-i", stick, program, "::EFI/BOOT/BOOTX64.EFI")
    ended = machine.boot(machine.firmware(bench.work) + machine.virtio("stick", stick) + machine.nvme("right", right)
                         + machine.NETWORK, bench.work / "stream.log", LIMIT)
    ended.need("stream-disk: done at ")
    return times(ended, bench.boots(image, right))


def network_boot(bench):
    """iPXE gets a script over HTTP, then the kernel and the example's initramfs; the machine writes its disk."""
    image = bench.images[512]
    (bench.serve / "linux").write_bytes(image.kernel.read_bytes())
    (bench.serve / "initramfs").write_bytes(bench.initramfs["example"].read_bytes())
    (bench.serve / "boot.ipxe").write_text(f"""#!ipxe
set base http://{HOST}
set image streamdisk.image=${{base}}/{image.file.name} streamdisk.hash={image.hash}
kernel ${{base}}/linux initrd=initramfs console=ttyS0 loglevel=4 ${{image}} streamdisk.reboot=poweroff
initrd --name initramfs ${{base}}/initramfs
boot
""")
    right = bench.right(image)
    network = ["-netdev", f"user,id=net0,bootfile=http://{HOST}/boot.ipxe", "-device", "virtio-net-pci,netdev=net0,bootindex=1"]
    ended = machine.boot(machine.nvme("right", right) + network, bench.work / "stream.log", LIMIT)
    ended.need("stream-disk: done at ")
    return times(ended)


def service_unit(bench):
    """A live system writes a disk of its machine by the example's systemd unit."""
    image = bench.images[512]
    target = bench.right(image)
    line = "console=ttyS0 loglevel=4 panic=-1 root=/dev/nvme0n1 rootfstype=ext4 ro stream-disk"
    live = ["-drive", f"if=none,id=live,format=raw,file={image.root_file},snapshot=on", "-device", "nvme,drive=live,serial=live"]

    def finished(line):
        return "Finished" in line and "Write an OS image" in line
    ended = machine.boot(["-kernel", str(image.kernel), "-append", line] + live + machine.nvme("target", target)
                         + machine.NETWORK, bench.work / "unit.log", LIMIT, finished)
    ended.need("writing the partition table", "Write an OS image to a disk")
    bench.boots(image, target)
    return f"the unit ends {ended.seconds:.0f} s after the start of the machine; what it wrote boots"


def command_line(bench):
    """What the kernel's command line says reaches the program word for word, and is not evaluated. (The script alone.)"""
    trap = bench.work / "evaluated"
    trap.unlink(missing_ok=True)
    (bench.work / "cmdline").write_text(
        "quiet streamdisk.image=http://h/a?b=$(touch${IFS}%s)&c=* \"streamdisk.select=model=ACME 9 `touch %s`\" "
        "streamdisk.disk=/dev/old streamdisk.disk=/dev/a;touch${IFS}%s streamdisk.select=size>=1G streamdisk.hash=ignored "
        "streamdisk.retry-timeout=5m xstreamdisk.image=no\n" % (trap, trap, trap))
    program = bench.work / "stream-disk"
    program.write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\necho\nexit 75\n")
    program.chmod(0o755)
    script = ("mount --bind \"$1/cmdline\" /proc/cmdline; mount -t tmpfs tmpfs /run; PATH=$1:$PATH; "
              "\"$2\" stream 2>&1; echo \"code $?\"")
    said = run("unshare", "--mount", "sh", "-c", script, "sh", bench.work, TREE / "frontends/common/stream-disk-initramfs")
    words = ["stream", "--hash", "ignored", "--yes", "--disk", f"/dev/a;touch${{IFS}}{trap}", "--retry-timeout", "5m",
             "--select", f"model=ACME 9 `touch {trap}`", "--select", "size>=1G", "--",
             f"http://h/a?b=$(touch${{IFS}}{trap})&c=*"]
    wanted = "".join(f"<{word}>" for word in words)
    for line in (f"stream-disk: {wanted}", f"stream-disk: failed: exit code 75: {wanted}", "code 75"):
        if line not in said.splitlines():
            raise Failure(f"not said: {line}\nbut: {said}")
    if trap.exists():
        raise Failure("a value was evaluated")
    return "each word as it is"


CASES = {
    "command-line": command_line,
    "512": chooses_512,
    "dracut": goes_on,
    "4096": chooses_4096,
    "power-cut": power_cut,
    "volatile-cache": volatile_cache,
    "name-server": name_server_late,
    "locked": locked,
    "two-paths": two_paths,
    "uki": unified_kernel,
    "ipxe": network_boot,
    "unit": service_unit,
}
