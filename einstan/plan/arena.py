"""arena: stretches of one block of bytes that are taken and given back; neighbours that are free are one hole.

Laws: no byte is taken twice at once; the block is as long as it ever has to be.
"""

from __future__ import annotations

from bisect import bisect_left, insort

LINE = 64  # bytes of a cache line; every stretch begins at one


class Arena:
    """`end` is how long the block is by now."""

    def __init__(self) -> None:
        self.end = 0
        self.taken: dict[int, int] = {}  # start -> size
        self.holes: dict[int, int] = {}  # start -> size
        self.starts: dict[int, int] = {}  # end -> start, of holes
        self.by_size: list[tuple[int, int]] = []  # (size, start) of holes, sorted

    def take(self, nbytes: int) -> int:
        """Where the stretch starts: in the smallest hole that fits, else at the end."""
        size = max(-(-nbytes // LINE), 1) * LINE
        place = bisect_left(self.by_size, (size, -1))
        if place < len(self.by_size):
            start, room = self.by_size[place][1], self.by_size[place][0]
        else:
            start = self.starts.get(self.end, self.end)
            room = self.end - start
            self.end = start + size
        if room:
            self.fill(start)
        if room > size:
            self.open(start + size, room - size)
        self.taken[start] = size
        return start

    def give(self, start: int) -> None:
        """The stretch is free, and one with the holes before and after it."""
        size = self.taken.pop(start)
        if start + size in self.holes:
            size += self.fill(start + size)
        if start in self.starts:
            before = self.starts[start]
            start, size = before, size + self.fill(before)
        self.open(start, size)

    def open(self, start: int, size: int) -> None:
        self.holes[start], self.starts[start + size] = size, start
        insort(self.by_size, (size, start))

    def fill(self, start: int) -> int:
        """The hole is none any more; how large it was."""
        size = self.holes.pop(start)
        del self.starts[start + size]
        del self.by_size[bisect_left(self.by_size, (size, start))]
        return size
