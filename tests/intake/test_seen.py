"""What has been read of a folder, kept in a few sums: nothing is lost, whatever comes, goes and crashes."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.intake.seen import SURE_NS, SeenNames, _dealt


def just_now(name: str) -> int:
    """When a name came that has been there for a moment."""
    return 10**30


NAMES = st.integers(0, 40).map("name-{}".format)


@given(
    st.lists(st.tuples(st.sampled_from(["come", "go", "read", "restart", "forget"]), st.lists(NAMES, max_size=8))),
    st.booleans(),
)
def test_every_name_that_stays_is_given_and_none_twice(deeds: list[tuple[str, list[str]]], clock: bool) -> None:
    seen, position, there = SeenNames(), b"", dict[str, int]()
    known, unsure = set[str](), False
    committed = [(position, known)]
    for now, (deed, names) in enumerate([*deeds, ("read", [])], 1):
        if deed == "come":
            there |= {name: now for name in names if name not in there}
        elif deed == "go":
            there = {name: since for name, since in there.items() if name not in names}
        elif deed == "restart":
            seen, unsure = SeenNames(), unsure or not clock
        elif deed == "forget" and len(committed) > 1:
            committed.pop()
            position, known = committed[-1]
            unsure = True
        elif deed == "read":
            known = known & there.keys()
            new = seen.new(position, there, there.__getitem__, "folder")
            assert there.keys() - known <= new
            if not unsure:
                assert new == there.keys() - known
            position = seen.after(sorted(new), now + SURE_NS if clock else None)
            known = set(there)
            committed.append((position, known))
    assert seen.new(position, there, there.__getitem__, "folder") == set()
    assert SeenNames().new(position, there, there.__getitem__, "folder") == set()


def test_names_that_went_leave_those_of_their_bucket_known() -> None:
    by_bucket: dict[int, str] = {}
    for number in range(100_000):
        name = f"name-{number}"
        other = by_bucket.setdefault(_dealt(name)[0], name)
        if other != name:
            break
    seen = SeenNames()
    assert seen.new(b"", [name, other], just_now, "folder") == {name, other}
    position = seen.after([name, other], None)
    assert seen.new(position, [name, "new"], just_now, "folder") == {"new"}
    position = seen.after(["new"], None)
    assert SeenNames().new(position, [name, "new"], just_now, "folder") == set()
    assert SeenNames().new(position, ["new"], just_now, "folder") <= {"new"}


def test_sums_of_another_form_begin_anew() -> None:
    for position in (b'{"seen": "AAAA"}', b'{"seen": "no base64!"}'):
        assert SeenNames().new(position, ["a"], just_now, "folder") == {"a"}


def test_what_was_there_for_long_is_known_in_the_folder_that_was_read_alone() -> None:
    seen = SeenNames()
    assert seen.new(b"", ["a", "b"], lambda _: 1, "folder") == {"a", "b"}
    behind = seen.after(["a", "b"], SURE_NS + 10)
    there = {"a": 9, "b": 9, **{f"old-{number}": 9 for number in range(2000)}, "new": 10}
    assert SeenNames().new(behind, there, there.__getitem__, "folder") == {"new"}
    assert SeenNames().new(behind, there, there.__getitem__, "other") >= there.keys() - {"a", "b"}
    # So it is for a process that reads on, where the folder was away for a moment.
    assert seen.new(behind, [], there.__getitem__, "folder") == set()
    assert seen.new(behind, there, there.__getitem__, "folder") == {"new"}
    assert seen.new(behind, [*there, "newer"], lambda _: 9, "other") == {"new", "newer"}
