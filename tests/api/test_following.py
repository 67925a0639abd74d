"""Something that is followed as a whole: who is told, and that nobody stays with what was there but for a moment."""

from holdfast.api.following import WholeSubject
from holdfast.api.streams import Follower


class Listening(Follower):
    """A follower that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(hidden=False)
        self.told = 0

    def offer(self, chunk: bytes) -> None:
        self.told += 1


async def test_who_came_or_was_told_since_the_last_look_is_told_once_more() -> None:
    state = "running"

    async def read() -> str:
        return state

    subject, follower = WholeSubject(read, 1.0), Listening()
    await subject.look()
    # It is paused, the follower loads a page and joins, and it is resumed before anybody looks again.
    subject.join(follower, None)
    assert follower.told == 1
    await subject.look()
    assert follower.told == 2
    await subject.look()
    assert follower.told == 2
    state = "paused"
    await subject.look()
    assert follower.told == 3
    state = "running"
    await subject.look()
    assert follower.told == 4
    await subject.look()
    await subject.look()
    assert follower.told == 5


async def test_who_left_is_told_no_more() -> None:
    state = 0

    async def read() -> int:
        return state

    subject, follower = WholeSubject(read, 1.0), Listening()
    await subject.look()
    subject.join(follower, None)
    subject.leave(follower)
    state = 1
    await subject.look()
    await subject.look()
    assert follower.told == 1
