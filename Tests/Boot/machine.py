"""A virtual machine under software emulation: QEMU's q35 with a serial console, whose lines go to a log with their time."""
import os
import selectors
import shutil
import subprocess
import time

from common import Failure

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
NETWORK = ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile="]
BASE = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "1024",
        "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot", "-device", "virtio-rng-pci"]


def _drive(name, file, cache):
    file = str(file)
    where = file if file.startswith("nbd:") else file.replace(",", ",,")
    return ["-drive", f"if=none,id={name},format=raw,file={where},cache={cache},discard=unmap"]


def nvme(name, file, lba=512, cache="writeback", bytes_per_second=0):
    """cache: QEMU's. With writeback, what the guest has not flushed is in this host's memory, and survives QEMU's end.
    bytes_per_second: no more is written; 0 is no limit."""
    sizes = f",logical_block_size={lba},physical_block_size={lba}"
    drive = _drive(name, file, cache)
    if bytes_per_second:
        drive[1] += f",throttling.bps-write={bytes_per_second}"
    return drive + ["-device", f"nvme,drive={name},serial={name}{sizes}"]


def virtio(name, file, cache="writeback"):
    return _drive(name, file, cache) + ["-device", f"virtio-blk-pci,drive={name},serial={name}"]


def two_paths(name, file):
    """One file as a disk behind each of two SCSI controllers, with one serial number and one WWN."""
    words = []
    for path in ("a", "b"):
        words += ["-drive", f"if=none,id={name}-{path},format=raw,file={file},file.locking=off,cache=none",
                  "-device", f"virtio-scsi-pci,id=scsi-{path}",
                  "-device", f"scsi-hd,bus=scsi-{path}.0,drive={name}-{path},serial={name},wwn=0x5000c50015ea71ac,share-rw=on"]
    return words


def kernel(image, initramfs, command_line):
    return ["-kernel", str(image), "-initrd", str(initramfs), "-append", command_line]


def firmware(work):
    """UEFI with fresh variables: it finds what is to start by looking at the disks."""
    variables = work / "variables.fd"
    shutil.copy(VARIABLES, variables)
    return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}",
            "-drive", f"if=pflash,unit=1,format=raw,file={variables}"]


class Ended:
    """lines: of the console. why: 'exit' (the machine powered off or restarted), 'stopped' (by on_line), 'limit'."""

    def __init__(self, lines, why, seconds):
        self.lines, self.why, self.seconds = lines, why, seconds
        self.text = "\n".join(lines)

    def need(self, *texts):
        missing = [text for text in texts if text not in self.text]
        if missing or self.why == "limit":
            tail = "\n".join("    " + line[-160:] for line in self.lines[-25:])
            raise Failure(f"the machine ended ({self.why}, {self.seconds:.0f} s) without {missing}; its last lines:\n{tail}")
        return self


def boot(arguments, log, limit=240, on_line=None):
    """Runs a machine until it ends, for so many seconds at most. on_line(line) is called for each line of its console and ends
    it at once (SIGKILL: the power is cut) by returning True."""
    begun, lines, rest, why = time.monotonic(), [], b"", "exit"
    with open(log, "w", encoding="utf-8") as record, selectors.DefaultSelector() as selector:
        command = BASE + arguments
        record.write(f"# {command}\n")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            selector.register(process.stdout, selectors.EVENT_READ)
            while why == "exit":
                left = limit - (time.monotonic() - begun)
                if left <= 0:
                    why = "limit"
                elif selector.select(min(left, 1)):
                    data = os.read(process.stdout.fileno(), 65536)
                    if not data:
                        break
                    *whole, rest = (rest + data).split(b"\n")
                    for line in whole:
                        line = line.decode("utf-8", "replace").strip("\r")
                        lines.append(line)
                        record.write(f"[{time.monotonic() - begun:7.2f}] {line}\n")
                        record.flush()
                        if on_line and on_line(line):
                            why = "stopped"
                            break
        finally:
            if process.poll() is None:
                process.kill() if why != "exit" else None
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if rest:
            lines.append(rest.decode("utf-8", "replace"))
            record.write(lines[-1] + "\n")
        record.write(f"# {why} after {time.monotonic() - begun:.1f} s\n")
    return Ended(lines, why, time.monotonic() - begun)
