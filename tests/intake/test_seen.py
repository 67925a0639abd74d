"""What has been read of a folder, kept in a few sums: nothing is lost, whatever comes, goes and crashes."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.intake.seen import SeenNames, _dealt

NAMES = st.integers(0, 40).map("name-{}".format)


@given(st.lists(st.tuples(st.sampled_from(["come", "go", "read", "restart", "forget"]), st.lists(NAMES, max_size=8))))
def test_every_name_that_stays_is_given_and_none_twice_without_a_crash(deeds: list[tuple[str, list[str]]]) -> None:
    seen, position, there = SeenNames(), b"", set[str]()
    known, given_again = set[str](), False
    committed = [(position, known)]
    for deed, names in [*deeds, ("read", [])]:
        if deed == "come":
            there |= set(names)
        elif deed == "go":
            there -= set(names)
            known = known - set(names)  # a name that comes back is another file
        elif deed == "restart":
            seen, given_again = SeenNames(), True
        elif deed == "forget" and len(committed) > 1:
            committed.pop()
            position, known = committed[-1]
            given_again = True
        elif deed == "read":
            new = seen.new(position, there)
            assert there - known <= new
            if not given_again:
                assert new == there - known
            position = seen.after(sorted(new))
            known = there.copy()
            committed.append((position, known))
    assert seen.new(position, there) == set()
    assert SeenNames().new(position, there) == set()


def test_names_that_went_leave_those_of_their_bucket_known() -> None:
    by_bucket: dict[int, str] = {}
    for number in range(100_000):
        name = f"name-{number}"
        other = by_bucket.setdefault(_dealt(name)[0], name)
        if other != name:
            break
    seen = SeenNames()
    assert seen.new(b"", [name, other]) == {name, other}
    position = seen.after([name, other])
    assert seen.new(position, [name, "new"]) == {"new"}
    position = seen.after(["new"])
    assert SeenNames().new(position, [name, "new"]) == set()
    assert SeenNames().new(position, ["new"]) <= {"new"}


def test_sums_of_another_form_begin_anew() -> None:
    for position in (b'{"seen": "AAAA"}', b'{"seen": "no base64!"}'):
        assert SeenNames().new(position, ["a"]) == {"a"}
