"""When an alert fires, is over, and is told: over whatever series of looks, at whatever times."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.alerting import AlertTerms, Standing, Telling, decide

TIMES = st.one_of(st.just(0), st.integers(0, 12))  # a rule has few of its times
TERMS = st.builds(
    AlertTerms, for_us=TIMES, keep_us=TIMES, group_us=TIMES, repeat_us=st.one_of(st.none(), st.integers(1, 12))
)
LOOK = st.tuples(st.integers(1, 6), st.sets(st.sampled_from("abc")), st.booleans())
"""How long after the one before; what is so; whether what is decided is recorded, or the process ends before."""


class World:
    """Looks that follow each other, with what is recorded and told between them."""

    def __init__(self, terms: AlertTerms) -> None:
        self.terms = terms
        self.now = 1_000
        self.open: dict[str, Standing] = {}
        self.told: list[tuple[int, str, str, int]] = []
        """(when, kind, about, when it fired)."""
        self.messages: list[tuple[int, Telling]] = []
        self.resolved: list[tuple[str, Standing]] = []

    def look(self, after: int, so: set[str], recorded: bool = True) -> None:
        self.now += after
        decided = decide(self.terms, self.open, so, self.now)
        if not recorded:
            return
        self.open = {about: one for about, one in decided.standings.items() if one.state != "resolved"}
        self.resolved += [(about, one) for about, one in decided.standings.items() if one.state == "resolved"]
        for telling in decided.tellings:
            self.messages.append((self.now, telling))
            for about in telling.abouts:
                self.told.append((self.now, telling.kind, about, decided.standings[about].fired_at or 0))


@given(TERMS, st.lists(LOOK, max_size=40))
def test_each_firing_and_each_end_of_it_is_told_once_and_in_that_order(
    terms: AlertTerms, looks: list[tuple[int, set[str], bool]]
) -> None:
    world = World(terms)
    for look in looks:
        world.look(*look)
    for about, one in world.resolved:
        kinds = [kind for _, kind, what, fired_at in world.told if (what, fired_at) == (about, one.fired_at)]
        if one.fired_at is None:
            assert kinds == [], "nobody hears of what never fired"
        else:
            assert (kinds[0], kinds[-1]) == ("firing", "resolved")
            assert set(kinds[1:-1]) <= {"repeat"}
            told = [at for at, kind, *which in world.told if kind != "resolved" and which == [about, one.fired_at]]
            assert one.told_at == told[-1], "when it was told last that it fires"
    for about, one in world.open.items():
        kinds = [kind for _, kind, what, fired_at in world.told if (what, fired_at) == (about, one.fired_at)]
        assert "resolved" not in kinds
        assert kinds.count("firing") == (one.told_at is not None)


@given(TERMS, st.lists(LOOK, max_size=40))
def test_it_fires_when_it_was_so_at_each_look_for_long_enough(
    terms: AlertTerms, looks: list[tuple[int, set[str], bool]]
) -> None:
    world = World(terms)
    since: dict[str, int] = {}
    for after, so, _ in looks:
        before = dict(world.open)
        world.look(after, so)
        since = {about: since.get(about, world.now) for about in so}
        for about in so:
            was_firing = about in before and before[about].state == "firing"
            due = was_firing or world.now - since[about] >= terms.for_us
            assert (world.open[about].state == "firing") == due
        for about, one in world.open.items():
            assert about in so or (one.over_at is not None and world.now - one.over_at < terms.keep_us)


@given(TERMS, st.lists(LOOK, max_size=40))
def test_what_fires_within_a_groups_time_is_told_in_one_message(
    terms: AlertTerms, looks: list[tuple[int, set[str], bool]]
) -> None:
    world = World(terms)
    for after, so, _ in looks:
        world.look(after, so)
        told_now = [telling for at, telling in world.messages if at == world.now]
        assert len({telling.kind for telling in told_now}) == len(told_now), "of each kind one message at a look"
        waiting = [one for one in world.open.values() if one.fired_at is not None and one.told_at is None]
        assert all(world.now - (one.fired_at or 0) < terms.group_us for one in waiting)
        if any(telling.kind == "firing" for telling in told_now):
            assert not waiting, "none is left for a message of its own"


@given(TERMS, st.lists(LOOK, max_size=40))
def test_it_is_told_again_no_sooner_than_asked_and_never_without_being_asked(
    terms: AlertTerms, looks: list[tuple[int, set[str], bool]]
) -> None:
    world = World(terms)
    for after, so, _ in looks:
        world.look(after, so)
        for one in world.open.values():
            if one.state == "firing" and one.told_at is not None and terms.repeat_us is not None:
                assert world.now - one.told_at < terms.repeat_us
    last: dict[tuple[str, int], int] = {}
    for at, kind, about, fired_at in world.told:
        if kind == "repeat":
            assert terms.repeat_us is not None
            assert at - last[about, fired_at] >= terms.repeat_us
        last[about, fired_at] = at


def test_a_dip_shorter_than_asked_for_is_no_end() -> None:
    world = World(AlertTerms(keep_us=5))
    world.look(1, {"a"})
    world.look(1, set())
    world.look(1, {"a"})
    world.look(4, set())
    world.look(4, set())
    assert [telling.kind for _, telling in world.messages] == ["firing"]
    world.look(1, set())
    assert [telling.kind for _, telling in world.messages] == ["firing", "resolved"]
