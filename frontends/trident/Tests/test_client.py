"""The client front: trident grpc-client stream-disk|stream-image, against our daemon and against servers that misbehave."""
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import HARMLESS, RebootCommand, m
from support.images import image
from support.odd_servers import OddServer, completed, log, started
from support.paths import CLIENT, WORK


class Ended:
    def __init__(self, run):
        self.code, self.text = run.returncode, run.stderr
        assert run.stdout == "", run.stdout


class ClientCase(Case):
    def client(self, server, *words, verb="stream-disk", url="http://127.0.0.1/image.cosi", reboot=None, wait=0):
        """Runs it to its end."""
        self.reboot = reboot or RebootCommand()
        return Ended(subprocess.run(
            [*HARMLESS, CLIENT, "grpc-client", verb, url, "--server", server, "--reboot-command", self.reboot.path,
             "--reboot-wait", str(wait), *words],
            check=False, timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    def odd(self, *answers):
        server = OddServer(*answers)
        self.addCleanup(server.stop)
        return server


class ClientAndDaemonTests(ClientCase):
    def test_an_image_is_streamed_and_the_daemon_reboots(self):
        for verb in ("stream-disk", "stream-image"):
            with self.subTest(verb):
                disk = self.disk()
                daemon = self.daemon(disk=disk)
                ended = self.client(f"unix://{daemon.socket_path}", "--hash", image().hash, verb=verb, url=self.serve().url)
                self.assertEqual(ended.code, 0, ended.text)
                self.assertIn("Servicing started", ended.text)
                self.assertIn("Servicing completed successfully", ended.text)
                self.assertIn("DAEMON::", ended.text)
                self.assertEqual(daemon.wait(), 0, daemon.log)
                self.assertEqual((daemon.reboot.calls, self.reboot.calls), (1, 0))
                self.assert_written(disk)

    def test_failures_are_told_with_kind_and_subkind(self):
        disk = self.disk()
        before = disk.digest()
        daemon = self.daemon(disk=disk)
        address, url = f"unix://{daemon.socket_path}", self.serve().url
        for words, text in ((["--hash", "sha384:" + "ab" * 48], "INVALID_INPUT_ERROR:load-cosi: "),
                            (["--hash", "md5:1"], "INVALID_INPUT_ERROR:unsupported-hash-kind: ")):
            ended = self.client(address, *words, url=url)
            self.assertEqual(ended.code, 2, ended.text)
            self.assertIn("Servicing failed with error: " + text, ended.text)
        ended = self.client(address, url="no-url")
        self.assertEqual(ended.code, 2, ended.text)
        self.assertIn("invalid", ended.text.lower())
        self.assert_untouched(disk, before)

    def test_a_busy_daemon_is_a_failure(self):
        server = self.held()
        daemon = self.daemon(disk=self.disk())
        call = daemon.call(server.url)
        next(call)
        ended = self.client(f"unix://{daemon.socket_path}", url=server.url)
        self.assertEqual(ended.code, 2, ended.text)
        self.assertIn("busy", ended.text.lower())
        server.release()
        self.assertTrue(list(call))


class ClientTests(ClientCase):
    def test_it_asks_the_daemon_to_reboot_and_hands_over_url_and_hash(self):
        server = self.odd(started(), completed())
        self.assertEqual(self.client(server.address, "--hash", "sha384:ab", url="http://h/i").code, 0)
        self.assertEqual(self.client(server.address).code, 0)
        first, second = server.requests
        self.assertEqual((first.image_url, first.image_hash, first.reboot.handling),
                         ("http://h/i", "sha384:ab", m.TRIDENT_HANDLES_REBOOT))
        self.assertFalse(second.HasField("image_hash"))

    def test_what_the_daemon_logs_is_shown_with_level_and_target(self):
        server = self.odd(started(), log("streaming 43 %"), log("odd", m.LOG_LEVEL_WARN, "disk"), completed())
        lines = self.client(server.address).text.splitlines()
        self.assertEqual(lines[:4], ["[INFO trident] Servicing started", "[INFO DAEMON::target] streaming 43 %",
                                     "[WARN DAEMON::disk] odd", "[INFO trident] Servicing completed successfully"])

    def test_nothing_that_a_daemon_says_drives_the_terminal(self):
        error = m.TridentError(kind=m.INVALID_INPUT_ERROR, subkind="a\x1b[2Jb", message="c\x07d\u202e", error_message="c")
        server = self.odd(started(), log("\x1b]0;x\x07"), completed(m.STATUS_CODE_FAILURE, m.REBOOT_NOT_REQUIRED, error=error))
        text = self.client(server.address).text
        self.assertTrue(all(character == "\n" or character.isprintable() for character in text), repr(text))

    def test_the_socket_may_be_named_before_the_verb(self):
        server = self.odd(started(), completed())
        run = subprocess.run([*HARMLESS, CLIENT, "grpc-client", "--server", server.address, "stream-image", "http://h/i"],
                             check=False, timeout=30, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(run.returncode, 0)

    def test_a_reboot_left_to_the_client_is_done_by_its_command_alone(self):
        answers = started(), completed(reboot_status=m.REBOOT_REQUIRED)
        ended = self.client(self.odd(*answers).address)
        self.assertEqual(ended.code, 0, ended.text)
        self.assertEqual(self.reboot.calls, 1)
        self.assertIn("A reboot is required", ended.text)
        # It fails, it is not there, or the machine stays up.
        missing = RebootCommand()
        missing.path.unlink()
        for reboot, wait in ((RebootCommand(exit_code=1), 0), (missing, 0), (RebootCommand(), 1)):
            started_at = time.monotonic()
            ended = self.client(self.odd(*answers).address, reboot=reboot, wait=wait)
            self.assertEqual(ended.code, 3, ended.text)
            self.assertIn(str(reboot.path), ended.text)
            self.assertGreaterEqual(time.monotonic() - started_at, wait)

    def test_no_reboot_where_none_is_asked_for(self):
        for status in (m.REBOOT_NOT_REQUIRED, m.REBOOT_STARTED):
            self.assertEqual(self.client(self.odd(started(), completed(reboot_status=status)).address).code, 0)
            self.assertEqual(self.reboot.calls, 0)
        for bad in (completed(m.STATUS_CODE_FAILURE, m.REBOOT_REQUIRED), completed(m.STATUS_CODE_UNSPECIFIED, m.REBOOT_REQUIRED)):
            self.assertEqual(self.client(self.odd(started(), bad).address).code, 2)
            self.assertEqual(self.reboot.calls, 0)

    def test_a_stream_without_completed_is_a_failure(self):
        for answers in ([], [started()], [started(), log("almost done")]):
            ended = self.client(self.odd(*answers).address)
            self.assertEqual(ended.code, 2, ended.text)
            self.assertNotIn("successfully", ended.text)

    def test_an_answer_that_leaves_the_outcome_open_is_a_failure(self):
        for bad in (completed(m.STATUS_CODE_UNSPECIFIED), completed(reboot_status=m.REBOOT_STATUS_UNSPECIFIED),
                    m.ServicingResponse(completed=m.Completed(status=9, reboot_status=1)), m.ServicingResponse(),
                    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE,
                    completed(m.STATUS_CODE_FAILURE, m.REBOOT_NOT_REQUIRED)):
            with self.subTest(str(bad)):
                ended = self.client(self.odd(started(), bad).address)
                self.assertEqual(ended.code, 2, ended.text)
                self.assertNotIn("successfully", ended.text)

    def test_the_first_completed_is_the_outcome_whatever_follows(self):
        hangs = threading.Event()
        self.addCleanup(hangs.set)
        ended = self.client(self.odd(started(), completed(), hangs).address)
        self.assertEqual(ended.code, 0, ended.text)
        failure = completed(m.STATUS_CODE_FAILURE, m.REBOOT_NOT_REQUIRED)
        self.assertEqual(self.client(self.odd(started(), failure, completed()).address).code, 2)

    def test_a_daemon_that_dies_in_mid_stream_is_a_failure(self):
        dying = subprocess.Popen([sys.executable, "-m", "support.odd_servers"], stdout=subprocess.PIPE, text=True,
                                 cwd=Path(__file__).parent)
        ended = self.client(dying.stdout.readline().strip())
        dying.wait()
        dying.stdout.close()
        self.assertEqual(ended.code, 2, ended.text)
        self.assertIn("so far so good", ended.text)

    def test_no_daemon_is_exit_code_1_at_once(self):
        nobody = WORK / "nobody.sock"
        for address in (f"unix://{nobody}", "unix:///"):
            started_at = time.monotonic()
            ended = self.client(address)
            self.assertEqual(ended.code, 1, ended.text)
            self.assertLess(time.monotonic() - started_at, 10)
        self.assertIn(str(nobody), self.client(f"unix://{nobody}").text)

    def test_a_wrong_command_line_is_exit_code_1(self):
        for words in (["grpc-client", "stream-disk"], ["grpc-client", "stream-disk", "u", "--no-such"], ["commit"],
                      ["grpc-client", "stream-disk", "u", "--server", "http://127.0.0.1:1"],
                      ["grpc-client", "stream-disk", "u", "--server", "unix:///" + "x" * 120]):
            with self.subTest(words):
                run = subprocess.run([*HARMLESS, CLIENT, *words], check=False, timeout=30, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertTrue(run.stderr)

    def test_a_reader_that_reads_nothing_or_left_does_not_change_the_outcome(self):
        chatter = [log("x" * 1000) for _ in range(200)]
        server = self.odd(started(), *chatter, completed())
        command = [*HARMLESS, CLIENT, "grpc-client", "stream-disk", "http://h/i", "--server", server.address]
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        unread = subprocess.run(command, check=False, stderr=writer, timeout=30, stdin=subprocess.DEVNULL)
        os.close(reader)
        unheard = subprocess.run(command, check=False, stderr=writer, timeout=30, stdin=subprocess.DEVNULL)
        self.assertEqual((unread.returncode, unheard.returncode), (0, 0))
