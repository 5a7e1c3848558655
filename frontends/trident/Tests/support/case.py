"""The base of all cases: what it makes, it removes."""
import os
import unittest

from . import disks, servers
from .daemon import Daemon, forbidden_calls
from .images import image


def setUpModule():
    """Loop devices need root. Under CI nothing may skip: there a missing right is a failure."""
    if os.geteuid() != 0 and os.environ.get("CI") != "true":
        raise unittest.SkipTest("loop devices need root: run the tests as root to include these")


class Case(unittest.TestCase):
    maxDiff = None

    def tearDown(self):
        self.assertEqual(forbidden_calls(), "")

    def disk(self, size=None, sector=512):
        disk = disks.LoopDisk(size or image().disk_bytes, sector)
        self.addCleanup(disk.remove)
        return disk

    def daemon(self, *options, disk=None, ready=True, **how):
        """A daemon for this disk (none: no --disk)."""
        named = ["--disk", disk.path] if disk else []
        daemon = Daemon(*named, *options, **how)
        self.addCleanup(daemon.remove)
        return daemon.wait_ready() if ready else daemon

    def serve(self, file=None, **how):
        """A server of our own with one image."""
        server = servers.ImageServer(file or image().path, **how)
        self.addCleanup(server.stop)
        return server

    def held(self):
        """One that sends the first half of the root's data and holds the rest until `release`."""
        return self.serve(hold_at=3 << 20)

    def start(self, kind, *arguments):
        server = kind(*arguments)
        self.addCleanup(server.stop)
        return server

    def assert_written(self, disk, sample=None):
        """Other programs find the image on the disk, byte for byte."""
        self.assertEqual(disks.check(sample or image(), disk.path), "")

    def assert_error(self, outcome, kind, subkind):
        """It failed, and with this."""
        self.assertFalse(outcome.succeeded, outcome.text)
        self.assertEqual((outcome.error.kind, outcome.error.subkind), (kind, subkind), outcome.text)
        self.assertTrue(outcome.error.message)
        self.assertTrue(outcome.error.error_message)
        self.assertIn(outcome.error.error_message, outcome.error.message)

    def assert_untouched(self, disk, before):
        self.assertEqual(disk.digest(), before, "something was written")
