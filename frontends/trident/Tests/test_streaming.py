"""What a stock client gets: Started, logs, one Completed; and what is on the disk then."""
import datetime
import re
import subprocess
import sys
import time

import grpc

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import m
from support.images import image
from support.paths import DAEMON, PACKAGE, TREE
from support.servers import Nginx, Process, free_port, listens, wait_until


class StreamingTests(Case):
    def test_an_image_is_on_the_disk_byte_for_byte_and_its_hash_in_completed(self):
        disk = self.disk()
        outcome = self.daemon(disk=disk).stream(self.start(Nginx, image().path).url())
        self.assertTrue(outcome.succeeded, outcome.text)
        self.assertEqual(outcome.completed.image_hash, image().hash)
        self.assertEqual(outcome.completed.servicing_kind, m.SERVICING_KIND_CLEAN_INSTALL)
        self.assertEqual(outcome.completed.reboot_status, m.REBOOT_REQUIRED)
        self.assert_written(disk)

    def test_the_right_hash_in_any_case_and_the_word_ignored_are_accepted(self):
        disk = self.disk()
        daemon, url = self.daemon(disk=disk), self.serve().url
        for text in (image().hash, "sha384:" + image().hash[7:].upper(), "ignored"):
            outcome = daemon.stream(url, text)
            self.assertTrue(outcome.succeeded, outcome.text)
            self.assertEqual(outcome.completed.image_hash, image().hash)

    def test_a_wrong_hash_is_load_cosi_and_nothing_is_written(self):
        disk = self.disk()
        before = disk.digest()
        daemon, url = self.daemon(disk=disk), self.serve().url
        for text in ("sha384:" + "ab" * 48, "sha384:ab"):
            self.assert_error(daemon.stream(url, text), m.INVALID_INPUT_ERROR, "load-cosi")
        self.assert_untouched(disk, before)

    def test_a_hash_of_another_kind_is_unsupported_hash_kind(self):
        disk = self.disk()
        before = disk.digest()
        server = self.serve()
        daemon = self.daemon(disk=disk)
        for text in ("md5:1", "sha256:" + "ab" * 32, "ab" * 48, ""):
            with self.subTest(text):
                self.assert_error(daemon.stream(server.url, text), m.INVALID_INPUT_ERROR, "unsupported-hash-kind")
        self.assert_untouched(disk, before)
        self.assertEqual(server.requests, [])

    def test_a_url_that_does_not_parse_is_invalid_argument(self):
        disk = self.disk()
        before = disk.digest()
        daemon = self.daemon(disk=disk)
        for url in ("", "image.cosi", "http://", "http://[::1/image.cosi", "http://host:port/image.cosi", "://host/image"):
            with self.subTest(url):
                with self.assertRaises(grpc.RpcError) as raised:
                    list(daemon.call(url))
                self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assert_untouched(disk, before)
        # The next request is not in the way of those.
        self.assertTrue(daemon.stream(self.serve().url).succeeded)

    def test_a_scheme_that_nobody_streams_from_comes_in_completed(self):
        daemon = self.daemon(disk=self.disk())
        self.assert_error(daemon.stream("ftp://127.0.0.1/image.cosi"), m.INVALID_INPUT_ERROR, "load-cosi")

    def test_a_url_however_long_gets_one_answer(self):
        daemon = self.daemon("--retry-timeout", "1", disk=self.disk())
        for count in (1000, 60_000):
            url = self.serve().url.replace("image.cosi", "x" * count)
            self.assert_error(daemon.stream(url), m.INVALID_INPUT_ERROR, "load-cosi")
        with self.assertRaises(grpc.RpcError):
            list(daemon.call("http://h/" + "x" * (3 << 20)))
        self.assertTrue(daemon.version())

    def test_what_is_not_there_is_load_cosi(self):
        disk = self.disk()
        before = disk.digest()
        daemon = self.daemon("--retry-timeout", "1", disk=disk)
        self.assert_error(daemon.stream(self.serve().url.replace("image", "other")), m.INVALID_INPUT_ERROR, "load-cosi")
        started = time.monotonic()
        self.assert_error(daemon.stream(f"http://127.0.0.1:{free_port()}/image.cosi"), m.INVALID_INPUT_ERROR, "load-cosi")
        self.assertLess(time.monotonic() - started, 10)
        self.assert_untouched(disk, before)

    def test_a_server_without_ranges_is_streamed_from_in_one_pass(self):
        port, disk = free_port(), self.disk()
        self.start(Process, [sys.executable, "-m", "http.server", "--bind", "127.0.0.1",
                             "--directory", image().path.parent, str(port)])
        wait_until(lambda: listens(port), "http.server listens")
        outcome = self.daemon(disk=disk).stream(f"http://127.0.0.1:{port}/image.cosi")
        self.assertTrue(outcome.succeeded, outcome.text)
        self.assert_written(disk)

    def test_logs_have_level_module_and_target_and_tell_of_progress(self):
        got = list(self.daemon(disk=self.disk()).call(self.serve(seconds=3).url))
        logs = [response.log for response in got if response.WhichOneof("response") == "log"]
        self.assertTrue(logs)
        for log in logs:
            self.assertIn(log.level, (m.LOG_LEVEL_WARN, m.LOG_LEVEL_INFO, m.LOG_LEVEL_DEBUG, m.LOG_LEVEL_TRACE), log)
            self.assertTrue(log.message and log.module and log.target, log)
            self.assertNotIn("\n", log.message)
        self.assertRegex(" ".join(log.message for log in logs), r"streaming \d+ %, \d+ MB/s")
        # At a sensible rate: one or two in three seconds.
        self.assertLess(len(logs), 20, [log.message for log in logs])
        now = datetime.datetime.now(datetime.timezone.utc).timestamp()
        times = [response.timestamp.seconds + response.timestamp.nanos / 1e9 for response in got]
        self.assertEqual(times, sorted(times))
        self.assertTrue(all(now - 60 < time <= now + 1 for time in times), times)

    def test_no_password_of_a_url_is_in_a_log(self):
        daemon = self.daemon(disk=self.disk())
        outcome = daemon.stream(self.serve().url.replace("http://", "http://user:topsecret@") + "?token=alsosecret")
        self.assertTrue(outcome.succeeded, outcome.text)
        for secret in ("topsecret", "alsosecret"):
            self.assertNotIn(secret, outcome.text)
            self.assertNotIn(secret, daemon.log)

    def test_the_version_is_that_of_the_tree(self):
        source = (TREE / "Sources/StreamDisk/Source/ProductVersion.swift").read_text()
        version = self.daemon(disk=self.disk()).version()
        self.assertRegex(version, r"^\d+\.\d+\.\d+")
        self.assertIn(f'"{version}"', source)

    def test_the_other_services_of_a_stock_client_are_unimplemented(self):
        channel = self.daemon(disk=self.disk()).channel()
        for method in ("UpdateService/Update", "CommitService/Commit"):
            with self.assertRaises(grpc.RpcError) as raised:
                list(channel.unary_stream(f"/trident.v1.{method}", lambda _: b"", bytes)(None, timeout=10))
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_one_daemon_streams_again_and_again(self):
        disk = self.disk()
        daemon, url = self.daemon(disk=disk), self.serve().url
        for _ in range(3):
            self.assertTrue(daemon.stream(url).succeeded)
        self.assert_written(disk)
        self.assertEqual(daemon.end(), 0, daemon.log)

    def test_the_readme_has_every_option(self):
        text = subprocess.run([DAEMON, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
        options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE)) - {"--help", "--version"}
        section = (PACKAGE / "README.md").read_text().split("## Options", 1)[1].split("\n## ", 1)[0]
        self.assertEqual(set(re.findall(r"`(--[a-z-]+)", section)), options)
