"""The systemd units: what they allow, and that the daemon can work with that."""
import re
import subprocess
import sys
import unittest
from pathlib import Path

from support import daemon as daemons
from support.case import Case, setUpModule  # noqa: F401
from support.daemon import m
from support.images import image
from support.paths import DAEMON, PACKAGE, WORK

UNITS = PACKAGE / "systemd"
SERVICE, SOCKET = UNITS / "stream-diskd.service", UNITS / "stream-diskd.socket"
CONFINED = Path(__file__).parent / "support" / "confined.py"


def lines(unit):
    return [line for line in unit.read_text().splitlines() if line and not line.startswith("#")]


class UnitTests(unittest.TestCase):
    # systemd's figure, from 0 (nothing is open) to 10. Lower it when less is open; raising it needs a reason.
    EXPOSURE_MAX = 2.4

    def test_what_the_service_exposes_stays_under_its_ceiling(self):
        run = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", SERVICE], check=True,
                             stdout=subprocess.PIPE, text=True)
        figure = re.search(r"Overall exposure level for stream-diskd.service: ([\d.]+)", run.stdout)
        self.assertIsNotNone(figure, run.stdout)
        self.assertLessEqual(float(figure[1]), self.EXPOSURE_MAX, run.stdout)

    def test_systemd_understands_both_units(self):
        folder = WORK / "units"
        folder.mkdir()
        for unit in (SERVICE, SOCKET):
            (folder / unit.name).write_text(unit.read_text().replace("/usr/bin/stream-diskd", str(DAEMON)))
        run = subprocess.run(["systemd-analyze", "verify", "--man=no", folder / SERVICE.name, folder / SOCKET.name], check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # It looks at all units that these name; what it says of others is not ours.
        ours = [line for line in run.stdout.splitlines() if "stream-diskd" in line]
        self.assertEqual(ours, [])
        self.assertEqual(run.returncode, 0, run.stdout)

    def test_the_socket_is_where_stock_clients_look_and_for_root_alone(self):
        self.assertIn("ListenStream=/run/trident/trident.sock", lines(SOCKET))
        self.assertIn("SocketMode=0600", lines(SOCKET))

    def test_trident_and_this_do_not_run_side_by_side(self):
        for unit in (SERVICE, SOCKET):
            conflicts = " ".join(line for line in lines(unit) if line.startswith("Conflicts="))
            for other in ("tridentd.service", "tridentd.socket"):
                self.assertIn(other, conflicts)


class ConfinedTests(Case):
    def test_with_the_units_capabilities_and_system_calls_it_streams_and_reboots(self):
        disk = self.disk()
        # The confinement leaves no right to reboot, as the harness wants it, and would not let setpriv take it once more.
        harmless, daemons.HARMLESS = daemons.HARMLESS, []
        try:
            daemon = self.daemon(disk=disk, through=(sys.executable, CONFINED, SERVICE), notify=True)
        finally:
            daemons.HARMLESS = harmless
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        self.assertRegex(status, r"Seccomp:\s+2")
        self.assertRegex(status, r"CapBnd:\s+0000000000200000")
        outcome = daemon.stream(self.serve().url, handling=m.TRIDENT_HANDLES_REBOOT)
        self.assertTrue(outcome.succeeded, outcome.text)
        self.assertEqual(outcome.completed.image_hash, image().hash)
        self.assertEqual(daemon.wait(), 0, daemon.log)
        self.assertEqual(daemon.reboot.calls, 1)
        self.assert_written(disk)
