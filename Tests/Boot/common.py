"""What every part of the boot test shares: where things are, how commands run, what a failure is."""
import hashlib
import os
import pathlib
import subprocess
import sys
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
CACHE = TREE / ".build" / "boot"
PROGRAM = TREE / ".build" / "release" / "stream-disk"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
MIB = 1 << 20
STARTED = time.monotonic()


class Failure(Exception):
    """A case did not end as it must. The text says what was seen."""


def say(text):
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def run(*command, limit=600, **options):
    """Runs a command to its end, within so many seconds, and returns its output. A failure shows the output."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=limit, **options)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(words)}: not done after {limit} s") from None
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def sha256(path, offset=0, length=None):
    """SHA-256 of a file, or of that part of it, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(offset)
        left = os.path.getsize(path) - offset if length is None else length
        while left:
            data = file.read(min(left, MIB))
            if not data:
                raise Failure(f"{path}: ends {left} bytes early")
            digest.update(data)
            left -= len(data)
    return digest.hexdigest()


def blank(path, size):
    """A file of that many bytes with nothing in it, in place of an old one."""
    pathlib.Path(path).unlink(missing_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)
    return path
