"""Images by Tests/Images/make-image, of standard tools, made once a run; and copies with one fault."""
import functools
import hashlib
import importlib.machinery
import importlib.util
import json
import subprocess

from .paths import IMAGES, WORK

# An ESP of 4 MiB and an ext4 of 26: a test takes a second.
SMALL = "--size 32M --esp-mib 4 --level 3"
# One zstd window of 128 MiB, over zeros.
WIDE = "--size 200M --esp-mib 4 --data-mib 160 --zero-percent 100 --level 3 --window-log 27"


class Image:
    def __init__(self, path, raw, manifest):
        self.path, self.raw, self.manifest_path = path, raw, manifest
        self.manifest = json.loads(manifest.read_text())
        self.disk_bytes = self.manifest["diskSize"]
        self.hash = "sha384:" + self.manifest["metadataSha384"]

    @property
    def metadata(self):
        return subprocess.run(["tar", "-xOf", self.path, "metadata.json"], check=True, stdout=subprocess.PIPE).stdout


@functools.lru_cache(maxsize=None)
def image(options=SMALL):
    folder = WORK / f"image-{hashlib.sha256(options.encode()).hexdigest()[:12]}"
    folder.mkdir()
    out, raw, manifest = folder / "image.cosi", folder / "disk.raw", folder / "manifest.json"
    subprocess.run([IMAGES / "make-image", *options.split(), "--random-seed", "0",
                    "--out", out, "--raw", raw, "--manifest", manifest], check=True)
    return Image(out, raw, manifest)


@functools.lru_cache(maxsize=None)
def broken(fault):
    """A copy of the small image that is wrong in one thing: Tests/Images/break-image --list names them."""
    # Making all of them takes a minute, so the program is used as a module.
    loader = importlib.machinery.SourceFileLoader("break_image", str(IMAGES / "break-image"))
    maker = importlib.util.module_from_spec(importlib.util.spec_from_loader("break_image", loader))
    loader.exec_module(maker)
    path = WORK / f"broken-{fault}.cosi"
    path.write_bytes(maker.build(maker.Image(image().path), fault))
    return path
