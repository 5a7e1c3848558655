"""A control group with a limit on memory, of whichever version the host has. Needs root."""
import contextlib
import time
import uuid
from pathlib import Path


def _parent():
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, folder = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path(f"/sys/fs/cgroup/memory{folder}"), False
    top = Path("/sys/fs/cgroup")
    (top / "cgroup.subtree_control").write_text("+memory")
    return top, True


class MemoryGroup:
    def __init__(self, folder, is_version_2):
        self.folder = folder
        self._peak = folder / ("memory.peak" if is_version_2 else "memory.max_usage_in_bytes")
        # Runs a program in it.
        self.command = ["sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', str(folder)]

    @property
    def peak_bytes(self):
        """The most that it ever had; None where the kernel does not tell."""
        return int(self._peak.read_text()) if self._peak.exists() else None


@contextlib.contextmanager
def memory_group(mebibytes):
    above, is_version_2 = _parent()
    folder = above / f"trident-{uuid.uuid4()}"
    folder.mkdir()
    try:
        (folder / ("memory.max" if is_version_2 else "memory.limit_in_bytes")).write_text(str(mebibytes << 20))
        if is_version_2:
            with contextlib.suppress(OSError):
                (folder / "memory.swap.max").write_text("0")
        yield MemoryGroup(folder, is_version_2)
    finally:
        # The last member is let go of a moment after it was waited for.
        for _ in range(100):
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.02)
