"""Python stubs, made from our .proto files when the tests begin: the client knows the wire facts and nothing else."""
import importlib
import shutil
import subprocess
import sys

from .paths import PACKAGE, WORK

# protoc and the plug-in are Debian's (the protoc inside python3-grpc-tools is too old for proto3's optional fields).
protos = PACKAGE / "Protos"
made = WORK / "stubs"
made.mkdir()
subprocess.run(["protoc", f"-I{protos}", f"--plugin=protoc-gen-grpc={shutil.which('grpc_python_plugin')}",
                f"--python_out={made}", f"--grpc_out={made}", *sorted(protos.rglob("*.proto"))], check=True)
sys.path.insert(0, str(made))


class Messages:
    """Every message, enum and stub of package trident.v1, by its name, whichever file it is in."""


for file in made.rglob("*_pb2*.py"):
    module = importlib.import_module(".".join(file.relative_to(made).with_suffix("").parts))
    for name in dir(module):
        if not name.startswith("_"):
            setattr(Messages, name, getattr(module, name))
