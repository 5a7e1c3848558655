"""Who reboots and when. The command is a stand-in always."""
import signal

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import Outcome, RebootCommand, m, settle
from support.images import image
from support.paths import WORK

ASKED = (None, m.REBOOT_HANDLING_UNSPECIFIED, m.TRIDENT_HANDLES_REBOOT)


class RebootTests(Case):
    def test_asked_to_reboot_it_answers_shuts_down_and_runs_the_command_once(self):
        for handling in ASKED:
            with self.subTest(handling=handling):
                path = WORK / f"asked-{handling}.sock"
                reboot, disk = RebootCommand(looks_at=path), self.disk()
                daemon = self.daemon(disk=disk, reboot=reboot, socket_path=path)
                outcome = daemon.stream(self.serve().url, handling=handling)
                self.assertTrue(outcome.succeeded, outcome.text)
                self.assertEqual(outcome.completed.reboot_status, m.REBOOT_STARTED)
                self.assertEqual(outcome.completed.image_hash, image().hash)
                self.assertEqual(daemon.wait(), 0, daemon.log)
                # After the socket is gone: nobody asks a machine that goes down.
                self.assertEqual(reboot.notes, ["called", "gone"])
                self.assert_written(disk)

    def test_where_the_caller_reboots_the_command_is_not_run_and_the_daemon_stays(self):
        daemon = self.daemon(disk=self.disk())
        outcome = daemon.stream(self.serve().url, handling=m.CALLER_HANDLES_REBOOT)
        self.assertEqual(outcome.completed.reboot_status, m.REBOOT_REQUIRED)
        self.assertTrue(daemon.version())
        self.assertEqual(daemon.end(), 0, daemon.log)
        self.assertEqual(daemon.reboot.calls, 0)

    def test_after_a_failure_nobody_reboots(self):
        daemon = self.daemon(disk=self.disk())
        for handling in (*ASKED, m.CALLER_HANDLES_REBOOT):
            outcome = daemon.stream(self.serve().url, "sha384:" + "00" * 48, handling=handling)
            self.assertFalse(outcome.succeeded)
            self.assertEqual(outcome.completed.reboot_status, m.REBOOT_NOT_REQUIRED)
        self.assertTrue(daemon.version())
        self.assertEqual(daemon.end(), 0, daemon.log)
        self.assertEqual(daemon.reboot.calls, 0)

    def test_a_command_that_fails_or_is_not_there_is_exit_code_3(self):
        missing = RebootCommand()
        missing.path.unlink()
        for reboot in (RebootCommand(exit_code=7), missing):
            daemon = self.daemon(disk=self.disk(), reboot=reboot)
            outcome = daemon.stream(self.serve().url, handling=m.TRIDENT_HANDLES_REBOOT)
            self.assertEqual(outcome.completed.reboot_status, m.REBOOT_STARTED)
            self.assertEqual(daemon.wait(), 3, daemon.log)
            self.assertIn(str(reboot.path), daemon.log)
            self.assertFalse(daemon.socket_path.exists())

    def test_a_client_that_left_wanted_its_reboot_all_the_same(self):
        server, disk = self.held(), self.disk()
        daemon = self.daemon(disk=disk)
        call = daemon.call(server.url, handling=m.TRIDENT_HANDLES_REBOOT)
        next(call)
        server.wait_held()
        daemon.disconnect()
        server.release()
        self.assertEqual(daemon.wait(), 0, daemon.log)
        self.assertEqual(daemon.reboot.calls, 1)
        self.assert_written(disk)

    def test_a_daemon_told_to_end_in_mid_stream_still_reboots(self):
        server = self.held()
        daemon = self.daemon(disk=self.disk())
        call = daemon.call(server.url, handling=m.TRIDENT_HANDLES_REBOOT)
        first = [next(call)]
        server.wait_held()
        daemon.signal(signal.SIGTERM)
        settle(0.3)
        server.release()
        self.assertEqual(Outcome(first + list(call)).completed.reboot_status, m.REBOOT_STARTED)
        self.assertEqual(daemon.wait(), 0, daemon.log)
        self.assertEqual(daemon.reboot.calls, 1)
