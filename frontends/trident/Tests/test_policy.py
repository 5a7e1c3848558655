"""What the daemon's command line decides: disk, certificates, registries, memory."""
from support.case import Case, setUpModule  # noqa: F401
from support.daemon import m
from support.groups import memory_group
from support.images import WIDE, image
from support.servers import Nginx, Registry, TLSNginx


class PolicyTests(Case):
    def test_an_image_comes_from_a_registry(self):
        disk = self.disk()
        registry = self.start(Registry)
        by_tag, by_digest = registry.push("os/server", "1.0", image().path)
        daemon = self.daemon("--plain-http", disk=disk)
        for reference in (by_tag, by_digest):
            outcome = daemon.stream(reference, image().hash)
            self.assertTrue(outcome.succeeded, outcome.text)
            self.assert_written(disk)
        self.assert_error(daemon.stream(by_tag.replace("1.0", "2.0")), m.INVALID_INPUT_ERROR, "load-cosi")

    def test_https_takes_the_authority_of_cacert_and_no_other(self):
        disk = self.disk()
        before = disk.digest()
        server = self.start(TLSNginx, image().path)
        self.assert_error(self.daemon(disk=disk).stream(server.url), m.INVALID_INPUT_ERROR, "load-cosi")
        self.assert_untouched(disk, before)
        outcome = self.daemon("--cacert", server.authority, disk=disk).stream(server.url)
        self.assertTrue(outcome.succeeded, outcome.text)
        self.assert_written(disk)

    def test_a_proxy_of_the_environment_is_used(self):
        # The proxy is our own server: it is asked for the whole URL of a host that does not exist.
        proxy = self.serve()
        daemon = self.daemon("--retry-timeout", "1", disk=self.disk(), environment={"http_proxy": proxy.url.rsplit("/", 1)[0]})
        self.assertFalse(daemon.stream("http://images.invalid/image.cosi").succeeded)
        self.assertEqual(proxy.requests[0][0], "http://images.invalid/image.cosi")

    def test_a_hint_that_names_the_disk_chooses_it(self):
        disk, other = self.disk(), self.disk()
        before = other.digest()
        daemon = self.daemon("--select", f"name={disk.path}")
        outcome = daemon.stream(self.serve().url)
        self.assertTrue(outcome.succeeded, outcome.text)
        self.assert_written(disk)
        self.assert_untouched(other, before)

    def test_a_window_of_128_mib_streams_in_a_control_group_of_200(self):
        wide = image(WIDE)
        disk, url = self.disk(wide.disk_bytes), self.start(Nginx, wide.path).url()
        with memory_group(200) as group:
            daemon = self.daemon(disk=disk, through=group.command)
            outcome = daemon.stream(url, wide.hash)
            self.assertTrue(outcome.succeeded, outcome.text)
            # And again: it keeps nothing of the first time.
            self.assertTrue(daemon.stream(url).succeeded)
            self.assertEqual(daemon.end(), 0, daemon.log)
            if group.peak_bytes is not None:
                self.assertGreater(group.peak_bytes, 128 << 20, "the window was never there")
                self.assertLess(group.peak_bytes, 200 << 20)
        self.assert_written(disk, wide)

    def test_a_control_group_too_small_is_told_and_nothing_is_written(self):
        wide = image(WIDE)
        disk, url = self.disk(wide.disk_bytes), self.start(Nginx, wide.path).url()
        before = disk.digest()
        with memory_group(140) as group:
            daemon = self.daemon(disk=disk, through=group.command)
            outcome = daemon.stream(url)
            self.assertFalse(outcome.succeeded)
            self.assertIn("memory", outcome.error.message)
            self.assertEqual(daemon.end(), 0, daemon.log)
        self.assert_untouched(disk, before)
