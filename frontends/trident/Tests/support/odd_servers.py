"""A server that answers StreamDisk as a test says: rightly or wrongly."""
import os
import signal
import threading
import uuid
from concurrent import futures

import grpc

from .paths import WORK
from .stubs import Messages as m


def started():
    return m.ServicingResponse(started=m.Started())


def log(message, level=m.LOG_LEVEL_INFO, target="target"):
    return m.ServicingResponse(log=m.Log(level=level, message=message, module="module", target=target))


def completed(status=m.STATUS_CODE_SUCCESS, reboot_status=m.REBOOT_STARTED, **more):
    return m.ServicingResponse(completed=m.Completed(status=status, reboot_status=reboot_status, **more))


class OddServer:
    """`answers`: the messages of the stream; a StatusCode aborts, an Event waits, "die" ends the server's process at once."""

    def __init__(self, *answers):
        self.path = WORK / f"{uuid.uuid4().hex[:12]}.odd"
        self.requests = []
        self.is_listening = threading.Event()
        outer = self

        class Service(m.StreamingServiceServicer):
            def StreamDisk(self, request, context):
                outer.requests.append(request)
                for answer in answers:
                    if isinstance(answer, grpc.StatusCode):
                        context.abort(answer, "because")
                    elif isinstance(answer, threading.Event):
                        answer.wait(30)
                    elif answer == "die":
                        os.kill(os.getpid(), signal.SIGKILL)
                    else:
                        yield answer

        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        m.add_StreamingServiceServicer_to_server(Service(), self.server)
        self.server.add_insecure_port(f"unix:{self.path}")
        self.server.start()

    @property
    def address(self):
        return f"unix://{self.path}"

    def stop(self):
        self.server.stop(0).wait()
        self.path.unlink(missing_ok=True)


if __name__ == "__main__":
    # In a process of its own, to die in mid-stream: says where it listens.
    dying = OddServer(started(), log("so far so good"), "die")
    print(dying.address, flush=True)
    signal.pause()
