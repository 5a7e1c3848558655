"""What the virtual machines talk to, all on this host's loopback device: a web server, a name server, a disk with a cache."""
import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from common import Failure, run

WEB_PORT = 80
HOST = "10.0.2.2"  # the loopback device of this host, as a machine on QEMU's user network sees it
NAME = "images.test"


@contextlib.contextmanager
def web_server(folder, work):
    """nginx with that folder at http://10.0.2.2/. Answers range requests, as nginx does by itself."""
    config = work / "nginx.conf"
    config.write_text(f"""daemon off;
user root;
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 64; }}
http {{
    access_log {work}/nginx-access.log;
    sendfile on;
    default_type application/octet-stream;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    server {{ listen 127.0.0.1:{WEB_PORT}; root {folder}; }}
}}
""")
    server = subprocess.Popen(["nginx", "-e", f"{work}/nginx-error.log", "-c", str(config)])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", WEB_PORT), 1):
                break
            time.sleep(0.05)
        else:
            raise Failure("nginx does not answer")
        yield
    finally:
        server.terminate()
        server.wait(10)


class NameServer(threading.Thread):
    """Answers each question for an address with 10.0.2.2 (RFC 1035), but the first ones not at all, for so many seconds."""

    def __init__(self, silent_seconds):
        super().__init__(daemon=True)
        self.silent_seconds = silent_seconds
        self.first = None
        self.unanswered = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))

    def run(self):
        while True:
            try:
                query, sender = self.socket.recvfrom(512)
            except OSError:
                return
            self.first = self.first or time.monotonic()
            if time.monotonic() - self.first < self.silent_seconds:
                self.unanswered += 1
                continue
            end = query.index(b"\0", 12) + 5  # name, type, class
            is_address = query[end - 4:end - 2] == b"\0\1"
            head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, int(is_address), 0, 0)
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(HOST)
            self.socket.sendto(head + query[12:end] + (answer if is_address else b""), sender)

    def close(self):
        self.socket.close()


class CachedDisk:
    """A disk file behind nbdkit's cache filter: what was written is only in its memory until a flush. cut() loses that."""

    def __init__(self, disk, work):
        self.socket = work / "nbd.sock"
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["nbdkit", "--foreground", "--unix", str(self.socket), "--filter=cache", "file", str(disk), "cache=writeback"],
            env={**os.environ, "TMPDIR": str(work)})
        for _ in range(200):
            if self.socket.exists():
                return
            time.sleep(0.05)
        self.cut()
        raise Failure("nbdkit does not listen")

    def cut(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def loopback_up():
    run("ip", "link", "set", "lo", "up")
