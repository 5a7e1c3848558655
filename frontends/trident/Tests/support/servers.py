"""Servers on loopback: one of our own that can hold bytes back, nginx with TLS, Debian's docker-registry."""
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
import uuid

from .paths import IMAGES, WORK


def wait_until(condition, what, seconds=20):
    """Waits until a condition is true; returns what it returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


class ImageServer:
    """Serves one file with ranges.

    Bytes from `hold_at` on wait for `release` (at most a minute); not those of short ranges, which preflight asks for. A response
    that does not wait takes `seconds` for a whole image."""

    def __init__(self, file, hold_at=None, seconds=0):
        content = file.read_bytes()
        self.requests = []
        self.gate = threading.Event()
        self.held = threading.Event()
        if hold_at is None:
            self.gate.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                if not self.path.startswith("/image.cosi"):
                    self.send_error(404)
                    return
                first, last = 0, len(content) - 1
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
                if asked:
                    first, last = int(asked[1]), min(last, int(asked[2] or last))
                if first > last:
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                self.send_header("Content-Length", str(last - first + 1))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", '"one"')
                self.end_headers()
                is_free = hold_at is None or last - first < 1 << 20
                middle = last + 1 if is_free else max(first, min(last + 1, hold_at))
                piece = 64 << 10
                for start in range(first, middle, piece):
                    self.wfile.write(content[start:min(start + piece, middle)])
                    time.sleep(seconds * piece / len(content))
                if middle <= last:
                    self.wfile.flush()
                    outer.held.set()
                    outer.gate.wait(60)
                    self.wfile.write(content[middle:last + 1])

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/image.cosi"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def wait_held(self):
        """Until it has sent what it may: the run is in the middle of its stream."""
        assert self.held.wait(30), "nobody asked for the bytes that are held back"

    def release(self):
        self.gate.set()

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A program in the background, ended by `stop`."""

    def __init__(self, arguments):
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Process):
    """Tests/Images/serve-dir over a folder with some files."""

    def __init__(self, *files):
        self.folder, state = WORK / f"www-{uuid.uuid4()}", WORK / f"nginx-{uuid.uuid4()}"
        self.folder.mkdir()
        state.mkdir()
        for file in files:
            os.link(file, self.folder / file.name)
        super().__init__([IMAGES / "serve-dir", self.folder, state])
        self.base = wait_until(lambda: (state / "url").exists() and (state / "url").read_text().strip(), "nginx listens")

    def url(self, name="image.cosi"):
        return f"{self.base}/{name}"


class TLSNginx(Process):
    """An nginx with a certificate that only its own authority vouches for: `authority` is that one's file."""

    def __init__(self, file):
        folder = WORK / f"tls-{uuid.uuid4()}"
        (folder / "www").mkdir(parents=True)
        os.link(file, folder / "www" / "image.cosi")
        self.authority = folder / "ca.pem"
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        subprocess.run([*make, "-keyout", folder / "ca.key", "-out", self.authority, "-subj", "/CN=Test authority"],
                       check=True, stderr=subprocess.DEVNULL)
        subprocess.run([*make, "-keyout", folder / "server.key", "-out", folder / "server.pem", "-subj", "/CN=server",
                        "-CA", self.authority, "-CAkey", folder / "ca.key", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-addext", "basicConstraints=critical,CA:FALSE"], check=True, stderr=subprocess.DEVNULL)
        port = free_port()
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""
            daemon off; {"user root;" if os.geteuid() == 0 else ""} worker_processes 1; pid {folder}/pid;
            events {{ worker_connections 64; }}
            http {{ access_log off; {temporary} root {folder}/www;
                   server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/server.pem;
                            ssl_certificate_key {folder}/server.key; }} }}""")
        super().__init__(["nginx", "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"])
        self.url = f"https://127.0.0.1:{port}/image.cosi"
        wait_until(lambda: listens(port), "nginx listens with TLS")


class Registry(Process):
    """Debian's docker-registry with storage of its own."""

    def __init__(self):
        self.folder = WORK / f"registry-{uuid.uuid4()}"
        self.folder.mkdir()
        self.port = free_port()
        config = self.folder / "config.yml"
        config.write_text(f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {self.folder}/storage}}}}
http: {{addr: "127.0.0.1:{self.port}", secret: x}}
""")
        super().__init__([shutil.which("docker-registry") or "docker-registry", "serve", config])
        wait_until(lambda: listens(self.port), "docker-registry listens")

    def _put(self, method, address, data=b"", **headers):
        request = urllib.request.Request(address, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers.get("Location")

    def push(self, repository, tag, file):
        """Pushes an artifact of one layer; returns its reference by tag and by its manifest's digest."""
        base = f"http://127.0.0.1:{self.port}/v2/{repository}"
        descriptors = []
        for kind, data in (("application/vnd.oci.empty.v1+json", b"{}"), ("application/vnd.example.cosi", file.read_bytes())):
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            place = self._put("POST", f"{base}/blobs/uploads/")
            self._put("PUT", f"{place}&digest={digest}", data, **{"Content-Type": "application/octet-stream"})
            descriptors.append({"mediaType": kind, "digest": digest, "size": len(data)})
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": descriptors[0], "layers": descriptors[1:]})
        self._put("PUT", f"{base}/manifests/{tag}", manifest.encode(), **{"Content-Type": kind})
        digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        name = f"oci://127.0.0.1:{self.port}/{repository}"
        return f"{name}:{tag}", f"{name}@{digest}"
