"""A server behind a link of a chosen rate, and a disk to write: for perf/traditional and perf/reuse. Needs root.

nginx runs in a network namespace of its own; its end of a veth pair is shaped by tbf(8). All is removed at the end.
"""
import os, shutil, subprocess, tempfile, time

# Of a network of its own for each run, so that two can go on at once.
HOST, ADDRESS = (f"10.213.{os.getpid() % 256}.{last}" for last in (1, 2))
BASE = f"http://{ADDRESS}:8080"


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


class Link:
    def __init__(self, served):
        self.folder = tempfile.mkdtemp(prefix="stream-disk-perf-")
        self.space, self.here, self.there = (f"{name}{os.getpid() % 1000000}" for name in ("sdperf", "sdh", "sdt"))
        self.served, self.server = served, None

    def __enter__(self):
        try:
            run("ip", "netns", "add", self.space)
            run("ip", "link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", self.space)
            run("ip", "addr", "add", f"{HOST}/30", "dev", self.here)
            run("ip", "link", "set", self.here, "up")
            run("ip", "-n", self.space, "addr", "add", f"{ADDRESS}/30", "dev", self.there)
            run("ip", "-n", self.space, "link", "set", self.there, "up")
            with open(f"{self.folder}/nginx.conf", "w") as file:
                file.write(f"daemon off; worker_processes 1; user root; pid {self.folder}/pid; error_log {self.folder}/error.log;\n"
                           "events {}\n"
                           "http { log_format bytes '$body_bytes_sent'; sendfile on; keepalive_requests 1000000;\n"
                           f"  access_log {self.folder}/access.log bytes;\n"
                           f"  server {{ listen {ADDRESS}:8080; root {self.served}; }} }}\n")
            self.server = subprocess.Popen(["ip", "netns", "exec", self.space, "nginx", "-c", f"{self.folder}/nginx.conf"],
                                           stderr=subprocess.DEVNULL)
            time.sleep(1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.terminate()
            self.server.wait()
        for command in (["ip", "link", "del", self.here], ["ip", "netns", "del", self.space]):
            subprocess.run(command, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder)

    def shape(self, rate):
        """Such as 100mbit; none: as fast as it goes."""
        tc = ["ip", "netns", "exec", self.space, "tc", "qdisc"]
        subprocess.run([*tc, "del", "dev", self.there, "root"], stderr=subprocess.DEVNULL)
        if rate != "none":
            run(*tc, "add", "dev", self.there, "root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms")

    def received(self):
        """Bytes over the link so far, headers included."""
        with open(f"/sys/class/net/{self.here}/statistics/rx_bytes") as file:
            return int(file.read())

    def sent(self):
        """Bytes of bodies that the server has sent, by its log."""
        with open(f"{self.folder}/access.log") as file:
            return sum(int(line) for line in file)


class Disk:
    """A loop device with direct I/O over a file, all of whose blocks are there."""

    def __init__(self, path, size):
        self.file, self.size, self.path = path, size, None

    def __enter__(self):
        with open(self.file, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.size)
        self.path = run("losetup", "--find", "--show", "--direct-io=on", self.file, capture_output=True, text=True).stdout.strip()
        return self

    def __exit__(self, *_):
        if self.path:
            subprocess.run(["losetup", "--detach", self.path])
        os.unlink(self.file)

    def fill(self, source=None):
        """Other bytes, or those of a file."""
        other = bytes([0xA5]) * (8 << 20)
        with open(self.path, "r+b", buffering=0) as disk, open(source or os.devnull, "rb") as file:
            for start in range(0, self.size, len(other)):
                count = min(len(other), self.size - start)
                disk.write(file.read(count) if source else other[:count])
            os.fsync(disk.fileno())

    def written(self):
        """Bytes that the disk was given to write so far."""
        with open(f"/sys/class/block/{os.path.basename(self.path)}/stat") as file:
            return int(file.read().split()[6]) * 512

    def differs(self, raw):
        """The first stretch of a sparse file's data, tables apart, that this disk has not; none: all of it is there."""
        with open(raw, "rb") as expected, open(self.path, "rb") as found:
            at, end = 1 << 20, os.path.getsize(raw) - (1 << 20)
            while at < end:
                try:
                    at = os.lseek(expected.fileno(), at, os.SEEK_DATA)
                except OSError:
                    return None
                hole = min(os.lseek(expected.fileno(), at, os.SEEK_HOLE), end)
                while at < hole:
                    count = min(hole - at, 8 << 20)
                    expected.seek(at), found.seek(at)
                    if expected.read(count) != found.read(count):
                        return at, at + count
                    at += count
