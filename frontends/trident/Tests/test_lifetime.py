"""How long the daemon stays, what ends it, and with which exit code."""
import signal
import time

import grpc

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import Outcome, m, settle
from support.servers import wait_until


class LifetimeTests(Case):
    def test_without_requests_it_ends_by_itself(self):
        started = time.monotonic()
        daemon = self.daemon("--inactivity-timeout", "2", disk=self.disk())
        self.assertEqual(daemon.wait(10), 0, daemon.log)
        self.assertGreater(time.monotonic() - started, 1.5)
        self.assertFalse(daemon.socket_path.exists())

    def test_work_and_requests_keep_it_up(self):
        server = self.held()
        daemon = self.daemon("--inactivity-timeout", "2", disk=self.disk())
        settle(1)
        daemon.version()
        call = daemon.call(server.url)
        next(call)
        server.wait_held()
        # Left alone with its work it is not idle.
        call.cancel()
        settle(3)
        self.assertIsNone(daemon.process.poll(), daemon.log)
        server.release()
        released = time.monotonic()
        self.assertEqual(daemon.wait(20), 0, daemon.log)
        self.assertGreater(time.monotonic() - released, 1.5)

    def test_an_open_connection_without_requests_does_not_keep_it_up(self):
        daemon = self.daemon("--inactivity-timeout", "2", disk=self.disk())
        m.VersionServiceStub(daemon.channel()).Version(m.VersionRequest(), timeout=10)
        self.assertEqual(daemon.wait(20), 0, daemon.log)

    def test_signals_end_an_idle_daemon_well(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with self.subTest(number):
                daemon = self.daemon(disk=self.disk())
                daemon.version()
                daemon.signal(number)
                self.assertEqual(daemon.wait(10), 0, daemon.log)
                self.assertFalse(daemon.socket_path.exists())

    def test_a_signal_in_mid_stream_lets_the_work_finish_and_the_client_hear_of_it(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with self.subTest(number):
                server, disk = self.held(), self.disk()
                daemon = self.daemon(disk=disk)
                call = daemon.call(server.url)
                first = [next(call)]
                server.wait_held()
                daemon.signal(number)
                # No new ones are taken.
                wait_until(lambda: self.refuses(daemon), "new requests are refused")
                settle(0.5)
                self.assertIsNone(daemon.process.poll(), daemon.log)
                server.release()
                outcome = Outcome(first + list(call))
                self.assertTrue(outcome.succeeded, outcome.text)
                self.assertEqual(outcome.completed.reboot_status, m.REBOOT_REQUIRED)
                self.assertEqual(daemon.wait(), 0, daemon.log)
                self.assert_written(disk)

    @staticmethod
    def refuses(daemon):
        channel = daemon.channel()
        try:
            m.VersionServiceStub(channel).Version(m.VersionRequest(), timeout=2)
            return False
        except grpc.RpcError:
            return True

    def test_signals_repeated_do_not_break_the_work_off(self):
        server, disk = self.held(), self.disk()
        daemon = self.daemon(disk=disk)
        call = daemon.call(server.url)
        first = [next(call)]
        server.wait_held()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            daemon.signal(number)
            settle(0.1)
        self.assertIsNone(daemon.process.poll(), daemon.log)
        server.release()
        self.assertTrue(Outcome(first + list(call)).succeeded)
        self.assertEqual(daemon.wait(), 0, daemon.log)
        self.assert_written(disk)

    def test_a_failed_request_is_no_failure_of_the_daemon(self):
        daemon = self.daemon(disk=self.disk())
        self.assertFalse(daemon.stream(self.serve().url, "md5:1").succeeded)
        self.assertEqual(daemon.end(), 0, daemon.log)

    def test_what_the_command_line_says_wrong_ends_it_before_it_listens(self):
        disk = self.disk()
        for words in (["--no-such-option"], ["--disk", disk.path, "--select", "serial=x"], ["--select", "colour=red"],
                      ["--inactivity-timeout", "0"], ["--inactivity-timeout", "never"],
                      ["--reboot-command", ""], ["--retry-timeout", "soon"], ["--cacert", "/no/such/file"]):
            with self.subTest(words):
                daemon = self.daemon(*words, ready=False)
                self.assertEqual(daemon.wait(10), 4, daemon.log)
                self.assertTrue(daemon.log.strip())
                self.assertFalse(daemon.socket_path.exists())
