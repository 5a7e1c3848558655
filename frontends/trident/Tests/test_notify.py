"""What systemd is told by sd_notify."""
import re

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import Outcome
from support.servers import wait_until


class NotifyTests(Case):
    def test_ready_status_while_it_streams_and_stopping(self):
        server = self.serve(seconds=4)
        daemon = self.daemon(disk=self.disk(), notify=True)
        said = wait_until(daemon.said, "READY")
        self.assertIn("READY=1", said)
        call = daemon.call(server.url)
        outcome = Outcome(call)
        self.assertTrue(outcome.succeeded, outcome.text)
        said = daemon.said()
        statuses = [line for line in said if line.startswith("STATUS=")]
        streaming = [line for line in statuses if re.fullmatch(r"STATUS=[Ss]treaming \d+ %, [\d.]+ [kMG]?B/s.*", line)]
        self.assertTrue(streaming, statuses)
        self.assertLess(len(statuses), 20, statuses)
        # Afterwards it no longer says that it streams.
        self.assertNotRegex(statuses[-1], r"\d %")
        self.assertEqual(daemon.end(), 0, daemon.log)
        self.assertIn("STOPPING=1", daemon.said())

    def test_a_notify_socket_that_is_not_there_is_no_obstacle(self):
        daemon = self.daemon(disk=self.disk(), environment={"NOTIFY_SOCKET": "/no/such/socket"})
        self.assertTrue(daemon.stream(self.serve().url).succeeded)
        self.assertEqual(daemon.end(), 0, daemon.log)
