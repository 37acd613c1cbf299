"""Disks of a test's own, which can be filled, shut down and lose their power: mounted images."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

from faults.needs import Impossible, programs, root

#: `FS_IOC_SHUTDOWN` of Linux: _IOR('X', 125, __u32); and to do so as a power cut does, with
#: nothing written that was not yet, the journal neither.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
FILLER = "filler"
GIB = 1024**3


class Disk:
    """A file system of its own, mounted at `place` within a `with` block."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> Disk:
        root()
        programs("mount", "umount")
        self.place.mkdir(mode=0o700, exist_ok=True)
        self.mount()
        self.place.chmod(0o700)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.place.is_mount() and not self.unmount():
            # Whatever a failed test left open must not leave the mount behind.
            subprocess.run(["umount", "--lazy", str(self.place)], check=True)

    def unmount(self) -> bool:
        """Unmount it; answers False where somebody goes on using it."""
        deadline = time.monotonic() + 10
        while subprocess.run(["umount", str(self.place)], capture_output=True).returncode:
            # A process that was killed a moment ago may still be letting go.
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def mount(self) -> None:
        raise NotImplementedError

    def fill(self, leave: int = 0) -> None:
        """Take all room but `leave` bytes."""
        with (self.place / FILLER).open("ab", buffering=0) as file:
            size = 1024 * 1024
            while size >= 512:
                room = self.room() - leave
                if room < size:
                    size //= 2
                    continue
                try:
                    file.write(b"\1" * size)
                except OSError:
                    size //= 2
            os.fsync(file.fileno())

    def room(self) -> int:
        facts = os.statvfs(self.place)
        return facts.f_bavail * facts.f_frsize

    def make_room(self) -> None:
        for path in self.place.glob(f"{FILLER}*"):
            path.unlink()

    def take_inodes(self) -> None:
        """Make files until no more can be made."""
        for number in range(1_000_000):
            try:
                (self.place / f"{FILLER}-{number}").touch()
            except OSError:
                return


class MemoryDisk(Disk):
    """A small tmpfs."""

    def __init__(self, place: Path, size: int, inodes: int = 0) -> None:
        super().__init__(place)
        self._options = f"size={size},nr_inodes={inodes},mode=0700"

    def mount(self) -> None:
        _mount("-t", "tmpfs", "-o", self._options, "portal-test", str(self.place))


class Ext4Disk(Disk):
    """An ext4 in a sparse file beside `place`."""

    def __init__(self, place: Path, size: int = 2 * GIB, inodes: int = 4096) -> None:
        super().__init__(place)
        self._image = place.with_name(f"{place.name}.img")
        self._size, self._inodes = size, inodes

    def __enter__(self) -> Disk:
        programs("mkfs.ext4")
        with self._image.open("wb") as file:
            file.truncate(self._size)
        make = ["mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(self._inodes), str(self._image)]
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        subprocess.run(make, check=True, env={**os.environ, "PATH": path})
        return super().__enter__()

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        self._image.unlink(missing_ok=True)

    def mount(self) -> None:
        # The loop device goes with the mount.
        _mount("-o", "loop", str(self._image), str(self.place))

    def cut_power(self) -> None:
        """From now on nothing reaches the disk, and every access to it fails."""
        descriptor = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def restore_power(self) -> None:
        """Mount it anew, with what had reached it; nobody may use it any more."""
        assert self.unmount(), f"{self.place} is still in use"
        self.mount()


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        # Asked for by root: a machine without loop devices, or a container that may not mount.
        raise Impossible(f"this system does not let root mount: {done.stderr.strip()}")
