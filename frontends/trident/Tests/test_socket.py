"""The socket: who may use it, when it is there, and systemd's activation."""
import os
import socket
import stat
import sys
import uuid

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import Daemon
from support.paths import WORK
from support.servers import wait_until

# As systemd does it (sd_listen_fds(3)): descriptors from 3 on, LISTEN_PID of the process itself.
ACTIVATOR = """
import os, sys
count, names, pid = sys.argv[1:4]
os.environ["LISTEN_FDS"] = count
os.environ["LISTEN_PID"] = pid or str(os.getpid())
if names != "-": os.environ["LISTEN_FDNAMES"] = names
given = [int(word) for word in sys.argv[4].split(",") if word]
spare = [os.dup2(number, 100 + i) for i, number in enumerate(given)]
for i, number in enumerate(spare): os.dup2(number, 3 + i)
os.execvp(sys.argv[5], sys.argv[5:])
"""


class SocketTests(Case):
    def test_the_socket_is_for_its_owner_alone_and_gone_at_exit(self):
        path = WORK / uuid.uuid4().hex[:12] / "deeper" / "d.sock"
        # The mode does not depend on who starts it.
        daemon = self.daemon(disk=self.disk(), socket_path=path, through=("sh", "-c", 'umask 0 && exec "$@"', "sh"))
        mode = os.stat(path).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(path.parent).st_mode) & 0o022, 0)
        self.assertEqual(daemon.end(), 0, daemon.log)
        self.assertFalse(path.exists())

    def test_a_socket_that_a_dead_daemon_left_is_replaced(self):
        disk = self.disk()
        dead = self.daemon(disk=disk)
        dead.process.kill()
        dead.process.wait()
        self.assertTrue(dead.socket_path.exists())
        daemon = self.daemon(disk=disk, socket_path=dead.socket_path)
        self.assertTrue(daemon.version())
        self.assertEqual(stat.S_IMODE(os.stat(dead.socket_path).st_mode), 0o600)

    def test_a_socket_of_a_living_daemon_is_left_to_it(self):
        disk = self.disk()
        first = self.daemon(disk=disk)
        second = self.daemon(disk=disk, socket_path=first.socket_path, ready=False)
        self.assertEqual(second.wait(), 1, second.log)
        self.assertIn(str(first.socket_path), second.log)
        self.assertTrue(first.version())

    def test_a_file_in_the_place_of_the_socket_is_an_error_and_stays(self):
        path = WORK / "no-socket"
        path.write_text("mine")
        daemon = self.daemon(disk=self.disk(), socket_path=path, ready=False)
        self.assertEqual(daemon.wait(), 1, daemon.log)
        self.assertEqual(path.read_text(), "mine")

    def test_a_path_that_no_socket_can_have_is_a_set_up_error(self):
        for path in (WORK / ("x" * 120), WORK / "no-socket-2" / "d.sock"):
            (WORK / "no-socket-2").write_text("a file")
            daemon = self.daemon(disk=self.disk(), socket_path=path, ready=False)
            self.assertEqual(daemon.wait(), 1, daemon.log)
            self.assertEqual(len(daemon.log.strip().splitlines()), 1, daemon.log)

    def test_what_is_no_http_2_harms_nobody(self):
        daemon = self.daemon(disk=self.disk())
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        for words in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 256, preface, preface + b"\xff" * 4096):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.connect(str(daemon.socket_path))
            try:
                client.sendall(words)
            except OSError:
                pass  # it closed the connection already
        # All of them are still there.
        self.assertTrue(daemon.version())
        self.assertTrue(daemon.stream(self.serve().url).succeeded)
        self.assertEqual(daemon.end(), 0, daemon.log)


class ActivationTests(Case):
    def activated(self, *descriptors, count=None, names="-", pid="", path=None, **how):
        """A daemon that is handed these descriptors."""
        numbers = ",".join(str(descriptor.fileno()) for descriptor in descriptors)
        through = (sys.executable, "-c", ACTIVATOR, str(len(descriptors) if count is None else count), names, pid, numbers)
        # setpriv stands between the two, so LISTEN_PID is right: exec keeps the process.
        daemon = Daemon("--disk", self.disk().path, through=through, binds=False, socket_path=path,
                        pass_fds=[descriptor.fileno() for descriptor in descriptors], **how)
        self.addCleanup(daemon.remove)
        return daemon

    def listener(self, kind=socket.SOCK_STREAM, listens=True):
        path = WORK / f"{uuid.uuid4().hex[:12]}.activated"
        listener = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        os.chmod(path, 0o600)
        if listens:
            listener.listen(16)
        return listener, path

    def test_a_handed_over_socket_is_served_and_left_to_systemd(self):
        for names in ("trident.sock", "anything", "-"):
            with self.subTest(names):
                listener, path = self.listener()
                daemon = self.activated(listener, names=names, path=path)
                # A client that came before the daemon waits in the socket.
                outcome = daemon.wait_ready().stream(self.serve().url)
                self.assertTrue(outcome.succeeded, outcome.text)
                self.assertEqual(daemon.end(), 0, daemon.log)
                self.assertTrue(path.exists(), "the socket is systemd's: it stays")

    def test_what_activation_may_not_hand_over_is_a_set_up_error(self):
        stream, _ = self.listener()
        other, _ = self.listener()
        datagram, _ = self.listener(socket.SOCK_DGRAM, listens=False)
        internet = socket.socket()
        self.addCleanup(internet.close)
        internet.bind(("127.0.0.1", 0))
        internet.listen(1)
        for what, daemon in {
            "two sockets": self.activated(stream, other),
            "more names than sockets": self.activated(stream, names="one:two"),
            "two sockets and two names": self.activated(stream, other, names="one:two"),
            "a datagram socket": self.activated(datagram, names="trident.sock"),
            "an internet socket": self.activated(internet, names="trident.sock"),
            "a count that is no number": self.activated(stream, count="x"),
            "a count without a descriptor": self.activated(count=1),
        }.items():
            with self.subTest(what):
                self.assertEqual(daemon.wait(), 1, daemon.log)
                self.assertTrue(daemon.log.strip())

    def test_activation_meant_for_another_process_is_none(self):
        listener, _ = self.listener()
        path = WORK / f"{uuid.uuid4().hex[:12]}.sock"
        daemon = Daemon("--disk", self.disk().path, socket_path=path, pass_fds=[listener.fileno()], through=(
            sys.executable, "-c", ACTIVATOR, "1", "-", str(os.getppid()), str(listener.fileno())))
        self.addCleanup(daemon.remove)
        self.assertTrue(daemon.wait_ready().version())

    def test_what_it_starts_does_not_inherit_the_activation(self):
        # The reboot command would take descriptor 3 for its own.
        listener, path = self.listener()
        note = WORK / f"{uuid.uuid4()}.environment"
        script = WORK / f"reboot-{uuid.uuid4()}"
        script.write_text(f'#!/bin/sh\nenv >"{note}"; ls -l /proc/self/fd >>"{note}"\n')
        script.chmod(0o755)
        through = (sys.executable, "-c", ACTIVATOR, "1", "trident.sock", "", str(listener.fileno()))
        daemon = Daemon("--disk", self.disk().path, "--reboot-command", script, through=through, binds=False,
                        socket_path=path, pass_fds=[listener.fileno()])
        self.addCleanup(daemon.remove)
        outcome = daemon.wait_ready().stream(self.serve().url, handling=None)
        self.assertTrue(outcome.succeeded, outcome.text)
        self.assertEqual(daemon.wait(), 0, daemon.log)
        text = wait_until(lambda: note.exists() and note.read_text(), "the command ran")
        self.assertNotIn("LISTEN_", text)
        self.assertNotIn("socket:", text)
