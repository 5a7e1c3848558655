"""Where things are, and one temporary folder for a run of the tests."""
import atexit
import os
import shutil
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
TREE = PACKAGE.parents[1]
IMAGES = TREE / "Tests" / "Images"
# What make built; the tests build nothing.
BINARIES = Path(os.environ.get("TRIDENT_BINARIES", PACKAGE / ".build" / "debug"))
DAEMON = BINARIES / "stream-diskd"
CLIENT = BINARIES / "trident-client"

WORK = Path(tempfile.mkdtemp(prefix="trident-tests-"))
atexit.register(shutil.rmtree, WORK, ignore_errors=True)

os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
os.environ["LC_ALL"] = "C"
# A proxy of this machine's is none of the tests' business.
for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(name, None)
    os.environ.pop(name.upper(), None)
