"""What a disk file holds, read by itself: is there a valid GUID partition table, primary or backup (UEFI 2.10, 5.3)?"""
import os
import struct
import zlib


def tables(path, lba):
    """The names of the valid ones, of 'primary' and 'backup'."""
    valid, last = [], os.path.getsize(path) // lba - 1
    with open(path, "rb") as disk:
        for name, place in (("primary", 1), ("backup", last)):
            disk.seek(place * lba)
            header = disk.read(92)
            if header[:8] != b"EFI PART":
                continue
            length, checksum = struct.unpack("<II", header[12:20])
            own, = struct.unpack("<Q", header[24:32])
            entries, count, size, entries_checksum = struct.unpack("<QIII", header[72:92])
            disk.seek(entries * lba)
            if (length == 92 and own == place and zlib.crc32(header[:16] + bytes(4) + header[20:]) == checksum
                    and zlib.crc32(disk.read(min(count * size, 1 << 20))) == entries_checksum):
                valid.append(name)
    return valid
