"""The real daemon, and a client of it that knows only the wire facts."""
import os
import signal
import socket
import subprocess
import time
import uuid

import grpc

from .paths import DAEMON, WORK
from .servers import wait_until
from .stubs import Messages as m

# No program that a test starts may reboot this machine, whatever goes wrong: each has a stand-in for the reboot command,
# runs without the right to reboot, and finds these before the real ones.
HARMLESS = ["setpriv", "--bounding-set=-sys_boot", "--inh-caps=-sys_boot"]


def _stand_ins():
    folder = WORK / "stand-ins"
    folder.mkdir()
    for name in ("systemctl", "reboot", "shutdown", "poweroff", "halt", "init", "telinit"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >>"{WORK}/forbidden"\nexit 1\n')
        script.chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


_stand_ins()


def forbidden_calls():
    """What the stand-ins of systemctl, reboot and so on were called with: nothing, if all is well."""
    file = WORK / "forbidden"
    return file.read_text() if file.exists() else ""


class RebootCommand:
    """A stand-in for the command that reboots: notes each call, and what else it was told to look at then."""

    def __init__(self, exit_code=0, looks_at=None):
        self.path = WORK / f"reboot-{uuid.uuid4()}"
        self._note = self.path.with_suffix(".calls")
        look = f'if [ -e "{looks_at}" ]; then echo there; else echo gone; fi >>"{self._note}"' if looks_at else ""
        self.path.write_text(f'#!/bin/sh\necho called >>"{self._note}"\n{look}\nexit {exit_code}\n')
        self.path.chmod(0o755)

    @property
    def notes(self):
        return self._note.read_text().split() if self._note.exists() else []

    @property
    def calls(self):
        return self.notes.count("called")


class Outcome:
    """What came of a StreamDisk call that ended well as a call; whether the servicing did, its Completed tells."""

    def __init__(self, responses):
        self.responses = list(responses)
        kinds = [response.WhichOneof("response") for response in self.responses]
        assert kinds[:1] == ["started"], kinds
        assert kinds[-1] == "completed", kinds
        assert set(kinds[1:-1]) <= {"log"}, kinds
        self.logs = [response.log for response in self.responses if response.WhichOneof("response") == "log"]
        self.completed = self.responses[-1].completed
        assert self.completed.status in (m.STATUS_CODE_SUCCESS, m.STATUS_CODE_FAILURE), self.completed
        assert self.completed.reboot_status in (m.REBOOT_NOT_REQUIRED, m.REBOOT_REQUIRED, m.REBOOT_STARTED), self.completed
        assert self.succeeded != self.completed.HasField("error"), self.completed

    @property
    def succeeded(self):
        return self.completed.status == m.STATUS_CODE_SUCCESS

    @property
    def error(self):
        return self.completed.error

    @property
    def text(self):
        return f"{self.completed}\n" + "\n".join(log.message for log in self.logs)


class Daemon:
    """A daemon of this test's own. `notify`: collects what it says by sd_notify."""

    def __init__(self, *options, socket_path=None, reboot=None, through=(), environment=None, pass_fds=(), notify=False,
                 binds=True, program=DAEMON):
        self.socket_path = socket_path or WORK / f"{uuid.uuid4().hex[:12]}.sock"
        self.reboot = reboot or RebootCommand()
        self.log_file = WORK / f"daemon-{uuid.uuid4()}.log"
        self.notes = None
        variables = dict(os.environ, **(environment or {}))
        if notify:
            self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            variables["NOTIFY_SOCKET"] = str(WORK / f"{uuid.uuid4().hex[:12]}.notify")
            self.notes.bind(variables["NOTIFY_SOCKET"])
        arguments = [*through, *HARMLESS, program, "--reboot-command", self.reboot.path, *options]
        if binds:
            arguments += ["--socket", self.socket_path]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in arguments], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, env=variables, pass_fds=pass_fds)
        self._channels = []

    def wait_ready(self):
        """Until it accepts connections."""
        def accepts():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log}"
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self.socket_path)) == 0
        wait_until(accepts, "the daemon listens")
        return self

    @property
    def log(self):
        return self.log_file.read_text(errors="replace")

    # The client.

    def channel(self):
        channel = grpc.insecure_channel(f"unix:{self.socket_path}", options=[("grpc.default_authority", "localhost"),
                                                                              ("grpc.use_local_subchannel_pool", 1)])
        self._channels.append(channel)
        return channel

    def call(self, url, hash=None, handling=m.CALLER_HANDLES_REBOOT, channel=None, timeout=60):
        """Starts a StreamDisk call: an iterator of responses. `handling` None leaves the message out."""
        request = m.StreamDiskRequest(image_url=str(url))
        if hash is not None:
            request.image_hash = hash
        if handling is not None:
            request.reboot.handling = handling
        return m.StreamingServiceStub(channel or self.channel()).StreamDisk(request, timeout=timeout)

    def stream(self, url, hash=None, **how):
        """A whole call by a client that goes away afterwards."""
        with self.channel() as channel:
            return Outcome(self.call(url, hash, channel=channel, **how))

    def version(self):
        with self.channel() as channel:
            return m.VersionServiceStub(channel).Version(m.VersionRequest(), timeout=10).version

    # Its end.

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=30):
        """Waits for its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end within {seconds} s:\n{self.log}") from None

    def end(self):
        """Ends it by SIGTERM and returns its exit code."""
        self.disconnect()
        if self.process.poll() is None:
            self.signal()
        return self.wait()

    def disconnect(self):
        for channel in self._channels:
            channel.close()
        self._channels = []

    def remove(self):
        self.disconnect()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.notes:
            self.notes.close()

    def said(self):
        """Every line that came by sd_notify so far."""
        lines = []
        while True:
            try:
                lines += self.notes.recv(4096, socket.MSG_DONTWAIT).decode().splitlines()
            except BlockingIOError:
                return lines

    def is_busy(self, channel=None):
        """The status code and text that a further request gets."""
        try:
            list(self.call("http://127.0.0.1:1/none", channel=channel))
        except grpc.RpcError as error:
            return error.code(), error.details()
        return None


def settle(seconds):
    """Time in which nothing must happen."""
    time.sleep(seconds)
