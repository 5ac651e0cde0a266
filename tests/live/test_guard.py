"""What the door remembers."""

import asyncio
import tracemalloc
from types import SimpleNamespace

from aadc.live.guard import Guard, Who
from aadc.live.rights import Role, User


def test_who_looks_is_written_once_in_ten_minutes_and_then_forgotten(monkeypatch):
    """Days of people who play clips: what it takes is level after ten minutes."""
    clock, written = SimpleNamespace(now=0.0), []
    monkeypatch.setattr("aadc.live.guard.time", SimpleNamespace(monotonic=lambda: clock.now))
    guard = Guard(SimpleNamespace(note=lambda *what: written.append(what[4]) if what[2] == "play" else None), secure=False)
    who = Who(User("anna", Role.VIEWER, None), "10.0.0.7")

    async def play(event, what="play"):
        await guard.note(who, what, "yard", event, once_s=600.0)

    async def people() -> None:
        for clock.now, event in ((0, "a"), (1, "b"), (599, "a"), (600, "a"), (601, "a"), (700, "b"), (701, "b")):
            await play(event)
        assert written == ["a", "b", "a", "b"]
        tracemalloc.start()
        try:
            sizes = []
            for number in range(1500):
                clock.now += 5.0
                await play(f"{number:060}", "view")
                sizes.append(tracemalloc.get_traced_memory()[0])
            assert max(sizes[1000:]) - max(sizes[:500]) < 50_000
        finally:
            tracemalloc.stop()

    asyncio.run(people())
