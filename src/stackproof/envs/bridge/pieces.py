"""Memory that one process writes and the other maps: how a table's pieces cross without being copied by the socket."""

import fcntl
import mmap
import os
import tempfile
from collections.abc import Callable
from typing import Any, BinaryIO


class Piece:
    """A file without a name, in memory on Linux. It is read-only once written, and gone when both sides let it go."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    @staticmethod
    def written(write: Callable[[Any], object]) -> "Piece":
        """What `write` wrote to the file that it was given."""
        descriptor = _new()
        try:
            with open(descriptor, "wb", buffering=0, closefd=False) as file:
                write(file)
            _seal(descriptor)
            return Piece(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def mapped(self) -> mmap.mmap:
        """Its bytes; they stay when it is closed."""
        return mmap.mmap(self.descriptor, self.size, prot=mmap.PROT_READ)

    def opened(self) -> BinaryIO:
        """A file to read it from."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return open(self.descriptor, "rb", closefd=False)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __del__(self) -> None:
        self.close()


def _new() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("bridge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _seal(descriptor: int) -> None:
    """The reader maps it: nobody may change it any more, nor make it shorter."""
    if hasattr(os, "memfd_create"):
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
