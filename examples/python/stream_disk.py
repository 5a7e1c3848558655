#!/usr/bin/env python3
"""Streams an image onto a disk or a file, from Python: stream_disk.py IMAGE DISK [OPTION=VALUE ...]

STREAMDISK_LIBRARY names another libstreamdisk.so.0 than the system's.
"""
import ctypes
import json
import os
import sys

EVENT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t)


def load(path=os.environ.get("STREAMDISK_LIBRARY", "libstreamdisk.so.0")):
    library = ctypes.CDLL(path)
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in [
        ("new", handle, [text]), ("free", None, [handle]), ("set", ctypes.c_int, [handle, text, text]),
        ("on_event", None, [handle, EVENT, ctypes.c_void_p]), ("cancel", None, [handle]),
        ("stream", ctypes.c_int, [handle, text]), ("verify", ctypes.c_int, [handle, text]),
        ("error_kind", text, [handle]), ("error_message", text, [handle]),
    ]:
        function = getattr(library, "streamdisk_" + name)
        function.restype, function.argtypes = result, arguments
    return library


def stream(library, image, disk, options, on_event):
    """Returns the exit code, and the error's kind and message."""
    handle = library.streamdisk_new(os.fsencode(image))
    # Kept as long as the handle: C holds no reference to it.
    callback = EVENT(lambda _, start, length: on_event(json.loads(ctypes.string_at(start, length))))
    try:
        library.streamdisk_on_event(handle, callback, None)
        code = 0
        for name, value in options:
            code = code or library.streamdisk_set(handle, name.encode(), value.encode())
        code = code or library.streamdisk_stream(handle, os.fsencode(disk))
        return code, library.streamdisk_error_kind(handle).decode(), library.streamdisk_error_message(handle).decode()
    finally:
        library.streamdisk_free(handle)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    asked = [argument.partition("=")[::2] for argument in sys.argv[3:]]
    code, kind, message = stream(load(), sys.argv[1], sys.argv[2], asked, lambda event: print(json.dumps(event)))
    if code:
        print(f"{message} ({kind})", file=sys.stderr)
    sys.exit(code)
