"""Clients that behave badly: one to be killed, one that reads nothing."""
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from .stubs import Messages as m

PROGRAM = """
import sys
from support.daemon import grpc, m
channel = grpc.insecure_channel("unix:" + sys.argv[1], options=[("grpc.default_authority", "localhost")])
request = m.StreamDiskRequest(image_url=sys.argv[2])
request.reboot.handling = m.CALLER_HANDLES_REBOOT
for response in m.StreamingServiceStub(channel).StreamDisk(request):
    print(response.WhichOneof("response"), flush=True)
"""


class ClientProcess:
    """A client in a process of its own; `kill` leaves it no time for goodbyes."""

    def __init__(self, daemon, url):
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(daemon.socket_path), url],
                                        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        assert self.process.stdout.readline() == "started\n"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class SilentClient:
    """HTTP/2 by hand: asks for a stream and allows the server not one byte of an answer (an initial window of 0)."""

    def __init__(self, daemon, url):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(daemon.socket_path))
        request = m.StreamDiskRequest(image_url=url)
        request.reboot.handling = m.CALLER_HANDLES_REBOOT
        message = request.SerializeToString()
        headers = {":method": "POST", ":scheme": "http", ":path": "/trident.v1.StreamingService/StreamDisk",
                   ":authority": "localhost", "content-type": "application/grpc", "te": "trailers"}
        # HPACK (RFC 7541, 6.2.2): literals without indexing, without Huffman coding.
        block = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                         for name, value in headers.items())
        self.socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + self._frame(4, 0, 0, struct.pack(">HI", 4, 0))            # SETTINGS_INITIAL_WINDOW_SIZE
            + self._frame(1, 4, 1, block)                               # HEADERS, END_HEADERS
            + self._frame(0, 1, 1, struct.pack(">BI", 0, len(message)) + message))  # DATA, END_STREAM

    @staticmethod
    def _frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    def close(self):
        self.socket.close()
