"""How much is measured: sizes, counts and times, all of them bounded."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Plan:
    """The figures of one run."""

    rounds: int = 5
    large_bytes: int = 1024 * MIB
    small_bytes: int = 10 * KIB
    small_seconds: int = 4
    upload_count: int = 500
    upload_bytes: int = 20 * KIB
    upload_clients: int = 8
    part_bytes: int = 32 * MIB
    zip_files: int = 16
    parallel_count: int = 50
    parallel_bytes: int = 64 * MIB
    parallel_bytes_per_second: int = 5_000_000
    slow_readers: int = 200
    slow_bytes_per_second: int = 50_000
    probe_seconds: int = 6
    probes_per_second: int = 100
    probe_patience: float = 3.0
    patience: float = 180.0

    @property
    def medium_bytes(self) -> int:
        """The file that the large one is compared with, to see whether memory grows."""
        return self.large_bytes // 16

    @property
    def space_needed(self) -> int:
        """Bytes of disk: the source, a kept copy for each system, and spools on their way.

        The files of the ZIP are as much once more. The parallel uploads come on top, once as
        spools and once as files.
        """
        return 10 * self.large_bytes + 2 * self.parallel_count * self.parallel_bytes


FULL = Plan()
QUICK = Plan(
    rounds=3,
    large_bytes=128 * MIB,
    small_seconds=2,
    upload_count=200,
    parallel_bytes=16 * MIB,
    slow_readers=200,
    probe_seconds=3,
)
