"""Several clients, and clients that leave, die or do not read."""
import signal
import threading

import grpc

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import Outcome, m
from support.odd_clients import ClientProcess, SilentClient
from support.servers import wait_until


class ClientTests(Case):
    def test_of_three_at_once_one_succeeds_and_two_are_told_unavailable(self):
        server, disk = self.held(), self.disk()
        daemon = self.daemon(disk=disk)
        ends, lock = [], threading.Lock()

        def ask():
            try:
                end = Outcome(daemon.call(server.url))
            except grpc.RpcError as error:
                end = error
            with lock:
                ends.append(end)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(ends) == 2, "two are turned away at once, while the third is served")
        for end in ends:
            self.assertIsInstance(end, grpc.RpcError)
            self.assertEqual(end.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertIn("busy", end.details().lower())
        server.release()
        for thread in threads:
            thread.join(30)
        self.assertTrue(ends[2].succeeded, ends[2].text)
        self.assert_written(disk)

    def test_after_the_client_has_left_the_work_goes_on_and_others_are_told_so(self):
        server, disk = self.held(), self.disk()
        daemon = self.daemon(disk=disk)
        call = daemon.call(server.url)
        next(call)
        server.wait_held()
        code, text = daemon.is_busy()
        self.assertEqual(code, grpc.StatusCode.UNAVAILABLE)
        self.assertIn("busy", text.lower())
        call.cancel()
        wait_until(lambda: "servicing is active" in (daemon.is_busy() or ("", ""))[1].lower(), "it notices that the client left")
        self.assertEqual(daemon.is_busy()[0], grpc.StatusCode.UNAVAILABLE)
        # Who asks for the version is answered meanwhile.
        self.assertTrue(daemon.version())
        server.release()
        self.assertEqual(daemon.end(), 0, daemon.log)
        self.assert_written(disk)

    def test_a_client_killed_in_mid_stream_leaves_a_whole_disk(self):
        server, disk = self.held(), self.disk()
        daemon = self.daemon(disk=disk)
        client = ClientProcess(daemon, server.url)
        server.wait_held()
        client.kill()
        server.release()
        self.assertEqual(daemon.end(), 0, daemon.log)
        self.assert_written(disk)

    def test_a_client_that_reads_nothing_delays_nothing(self):
        server, disk = self.held(), self.disk()
        daemon = self.daemon(disk=disk)
        client = SilentClient(daemon, server.url)
        self.addCleanup(client.close)
        server.wait_held()
        server.release()
        # The client is still there and reads nothing: the work ends, and so does the daemon, in bounded time.
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(30), 0, daemon.log)
        self.assert_written(disk)

    def test_a_disk_that_another_daemon_writes_is_not_written(self):
        server, disk = self.held(), self.disk()
        first, second = self.daemon(disk=disk), self.daemon(disk=disk)
        call = first.call(server.url)
        head = [next(call)]
        server.wait_held()
        self.assert_error(second.stream(self.serve().url), m.UNSUPPORTED_CONFIGURATION_ERROR, "no-suitable-disk")
        server.release()
        self.assertTrue(Outcome(head + list(call)).succeeded)
        self.assert_written(disk)
