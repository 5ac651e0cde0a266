"""Rules and zones that are changed while all runs: what counts, what is kept, what is refused, what it does to open events."""

import itertools
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from test_events import KINDS, NAMES, PLAIN, ends, run, snippet  # noqa: E402
from typed import typed  # noqa: E402

from aadc.live.access import Access  # noqa: E402
from aadc.live.areas import Zone  # noqa: E402
from aadc.live.config import CameraRules  # noqa: E402
from aadc.live.event import Ending, Kind, State  # noqa: E402
from aadc.live.events import EventMachine  # noqa: E402
from aadc.live.read_config import read_config  # noqa: E402
from aadc.live.rules import EventRules  # noqa: E402
from aadc.live.settings import ChangedMeanwhileError, FileCamera, FileSettings, Settings, file_settings  # noqa: E402
from aadc.manifests.errors import UserError  # noqa: E402

GATE = {"name": "gate", "polygon": [[0.1, 0.1], [0.5, 0.1], [0.5, 0.6]]}
FILE = FileSettings(
    rules=CameraRules(open_at=0.6),
    cameras={"door": FileCamera(), "yard": FileCamera(rules=CameraRules(open_at=0.9), zones=[Zone.model_validate(GATE)])},
)


class Noted(list):
    """What was written down."""

    def __call__(self, what: str, how: str) -> None:
        self.append((what, how))


@pytest.fixture
def kept(tmp_path):
    return Settings(tmp_path, FILE)


def changed(settings, camera, rules=None, who="anna", seen=None, **more):
    noted = Noted()
    settings.change(camera, ({} if rules is None else {"rules": rules}) | more, who, noted, seen)
    return list(noted)


def test_changes_stand_over_the_file_and_survive(kept, tmp_path):
    """A camera without rules of its own goes by those for all, as changed; each camera's own changes stand over both."""
    assert kept.in_force("door").rules == FILE.rules and not (tmp_path / "settings.json").exists()
    assert changed(kept, None, {"open_at": 0.7, "cool_down_s": 5}) == [("open_at", "0.6 -> 0.7"), ("cool_down_s", "0 -> 5")]
    assert changed(kept, "door", {"most_an_hour": 3}) == [("most_an_hour", "20 -> 3")]
    assert changed(kept, "yard", {"open_at": 0.8}) == [("open_at", "0.9 -> 0.8")]
    again = Settings(tmp_path, FILE)
    for settings in (kept, again):
        assert settings.in_force("door").rules == CameraRules(open_at=0.7, cool_down_s=5, most_an_hour=3)
        assert settings.in_force("yard").rules == CameraRules(open_at=0.8)
        told = settings.plain("door")
        assert told["file"]["rules"] == EventRules(open_at=0.7, cool_down_s=5).model_dump()
        assert set(told["changed"]) == {"most_an_hour"} and told["changed"]["most_an_hour"]["who"] == "anna"
    assert changed(kept, "door", {"most_an_hour": None}) == [("most_an_hour", "3 -> 20")]
    assert changed(kept, None, {"open_at": 0.6}, who="bob") == [("open_at", "0.7 -> 0.6")]
    assert json.loads((tmp_path / "settings.json").read_text())["every"]["rules"].keys() == {"cool_down_s"}, (
        "as the file: not kept"
    )
    kept.reset(None, "bob", Noted())
    assert kept.in_force("door").rules == FILE.rules


def test_zones_are_changed_as_a_whole_and_told_one_by_one(kept, tmp_path):
    shed = {"name": "shed <b>", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    moved = GATE | {"polygon": [[0.2, 0.1], [0.5, 0.1], [0.5, 0.6]]}
    assert changed(kept, "yard", zones=[moved, shed]) == [
        ("zone gate", "0.1,0.1 0.5,0.1 0.5,0.6 -> 0.2,0.1 0.5,0.1 0.5,0.6"),
        ("zone shed <b>", "nothing -> 0,0 1,0 1,1 0,1"),
    ]
    again = Settings(tmp_path, FILE).in_force("yard")
    assert [zone.name for zone in again.zones] == ["gate", "shed <b>"] and again.rules.open_at == 0.9
    assert changed(kept, "yard", zones=[]) == [
        ("zone gate", "0.2,0.1 0.5,0.1 0.5,0.6 -> nothing"), ("zone shed <b>", "0,0 1,0 1,1 0,1 -> nothing"),
    ]  # fmt: skip
    assert kept.in_force("yard").zones == []
    changed(kept, "yard", zones=None)
    assert kept.plain("yard")["zones"] == kept.plain("yard")["file"]["zones"] == [GATE]
    assert not kept.changed()


def test_all_that_is_wrong_is_told_and_nothing_is_changed(kept, tmp_path):
    changed(kept, "door", {"open_at": 0.5, "close_at": 0.45})
    before, noted = (tmp_path / "settings.json").read_bytes(), Noted()
    wrong = {
        "rules": {"open_at": 2, "open_for": 1.5, "close_after_s": "soon", "windows": 3},
        "zones": [{"name": "", "polygon": [[0, 0], [1.5, 0]]}, GATE, GATE],
        "blackouts": [],
    }
    with pytest.raises(UserError) as error:
        kept.change("door", wrong, "anna", noted)
    for part in (
        "open_at: Input should be less than or equal to 1", "open_for", "close_after_s", "windows: there is no such setting",
        "blackouts: there is no such setting", "zones 1 name", "zones 1 polygon",
    ):  # fmt: skip
        assert part in str(error.value), part
    for camera, asked, words in (
        ("door", {"zones": [GATE, GATE]}, "two zones are called gate"),
        ("door", {"rules": {"close_at": 0.6}}, "close_at"),
        ("door", {"rules": [1]}, "not a set of named values"),
        ("door", {"zones": {"gate": []}}, "zones"),
        (None, {"zones": [GATE]}, "belong to a camera"),
        (None, {"rules": {"open_at": float("nan")}}, "open_at"),
        (None, {"rules": {"open_at": 10**400}}, "open_at"),
        (None, {"rules": {"most_an_hour": 10**30}}, "most_an_hour"),
        ("door", {"zones": [GATE | {"name": "\ud800"}]}, "zones 1 name"),
        ("door", {"zones": [GATE | {"polygon": [[float("inf"), 0], [0, 1], [1, 1]]}]}, "zones 1 polygon"),
        ("door", {"zones": [GATE | {"polygon": [[0, 0]] * 1001}]}, "1000"),
        ("door", {"zones": [GATE | {"name": str(n)} for n in range(101)]}, "100"),
    ):
        with pytest.raises(UserError, match=words):
            kept.change(camera, asked, "anna", noted)
        assert not noted and (tmp_path / "settings.json").read_bytes() == before
    changed(kept, "door", {"open_at": None, "close_at": 0.5})
    with pytest.raises(UserError, match="^door: close_at .0.5. is above open_at .0.4."):  # of the yard it would be right
        kept.change(None, {"rules": {"open_at": 0.4, "close_at": 0.3}}, "anna", noted)
    assert not noted and kept.in_force(None).rules == FILE.rules


def test_two_who_change_the_same_do_not_undo_each_other(kept):
    seen = kept.plain("door")["version"]
    changed(kept, "yard", {"open_at": 0.7})
    assert kept.plain("door")["version"] == seen
    changed(kept, "door", {"open_at": 0.7}, seen=seen)
    with pytest.raises(ChangedMeanwhileError):
        changed(kept, "door", {"close_at": 0.2}, who="bob", seen=seen)
    assert kept.in_force("door").rules.close_at == 0.35


def test_what_cannot_be_kept_is_not_changed(kept, tmp_path, monkeypatch):
    def full(*_):
        raise UserError("no space left on the disk")

    monkeypatch.setattr("aadc.live.settings.replace_file", full)
    noted = Noted()
    with pytest.raises(UserError, match="no space"):
        kept.change("door", {"rules": {"open_at": 0.7}}, "anna", noted)
    assert noted == [("open_at", "0.6 -> 0.7"), ("nothing", "it could not be kept")]
    assert kept.in_force("door").rules.open_at == 0.6


def test_where_file_and_changes_differ_is_said(kept, tmp_path):
    changed(kept, "door", {"close_at": 0.5})
    changed(kept, "yard", zones=[])
    (line, zones) = kept.notes()
    assert "door: close_at is 0.5, not 0.35 as in the file (anna, " in line and "then" not in line
    assert zones.startswith("yard: zones are not those of the file (anna")
    edited = FileSettings(rules=CameraRules(open_at=0.45, close_at=0.4), cameras={"door": FileCamera()})
    again = Settings(tmp_path, edited)
    first, second, third = again.notes()
    assert "not 0.4 as in the file" in first and "the file said 0.35 then" in first
    assert "door: close_at (0.5) is above open_at (0.45)" in second and "the file's values count instead" in second
    assert "changes for yard, which the file does not name" in third
    assert again.in_force("door").rules == edited.rules


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"every": 3}', '{"cameras": {"door": {"rules": {"open_at": 1}}}}', "\0" * 99]
)
def test_a_damaged_record_changes_nothing_and_is_not_written_over(kept, tmp_path, content):
    changed(kept, "door", {"open_at": 0.7})
    (tmp_path / "settings.json").write_text(content)
    assert kept.news() and kept.problem
    assert kept.in_force("door").rules.open_at == 0.7, "who is at work goes on as it was"
    again = Settings(tmp_path, FILE)
    assert again.in_force("door").rules == FILE.rules and "the file of cameras counts alone" in again.notes()[0]
    with pytest.raises(UserError, match="move it away"):
        changed(again, "door", {"open_at": 0.8})
    assert (tmp_path / "settings.json").read_text() == content


def test_news_are_told_once_and_none_is_missed(kept, tmp_path):
    other = Settings(tmp_path, FILE)
    assert kept.news() and not kept.news()
    changed(other, "door", {"open_at": 0.7})
    assert kept.news()
    changed(other, "door", {"open_at": 0.8})
    assert kept.in_force("yard") and kept.news() and kept.in_force("door").rules.open_at == 0.8 and not kept.news()


# What a change does to events. Provisional scores are left out: the final ones rule.


def scores_of(*values):
    return [snippet(number, value) for number, value in enumerate(values)]


def test_an_open_event_goes_on_or_ends_by_the_new_rules():
    rules = PLAIN.model_copy(update={"close_at": 0.3, "close_after_s": 1.0})
    high = scores_of(0.9, 0.9, 0.4, 0.4, 0.4, 0.4)
    for new, end_s in ((rules, None), (rules.model_copy(update={"close_at": 0.5}), 1.0)):
        machine = EventMachine(rules, NAMES, KINDS)
        told = run(machine, high[:2], stop=False)
        machine.change_rules(new)
        told += run(machine, high[2:], stop=False)
        assert [one.kind for one in told][:1] == [Kind.new] and len({one.after.id for one in told}) == 1
        assert [one.end_s for one in ends(told)] == ([] if end_s is None else [end_s])
        assert (machine.event is None) == (end_s is not None)


def test_snippets_that_are_quiet_no_more_belong_to_the_event():
    rules = PLAIN.model_copy(update={"close_at": 0.5, "close_after_s": 1.5})
    machine = EventMachine(rules, NAMES, KINDS)
    told = run(machine, scores_of(0.9, 0.4, 0.2, 0.4), stop=False)
    machine.change_rules(rules.model_copy(update={"close_at": 0.3}))  # 0.4 is not quiet any more
    told += run(machine, [snippet(number, 0.1) for number in range(4, 10)])
    (end,) = ends(told)
    assert (end.start_s, end.end_s, end.snippets) == (0.0, 2.0, 4) and end.ending is Ending.quiet


def test_a_row_that_is_too_low_now_opens_nothing():
    rules = PLAIN.model_copy(update={"open_for": 3})
    for final in (True, False):
        machine = EventMachine(rules, NAMES, KINDS)
        assert not run(machine, [snippet(n, 0.6, final) for n in range(2)], stop=False)
        machine.change_rules(rules.model_copy(update={"open_at": 0.8}))
        assert not run(machine, [snippet(n, 0.9, final) for n in (2, 3)], stop=False)
        (new,) = run(machine, [snippet(4, 0.9, final)], stop=False)
        assert new.after.start_s == 1.0 and new.after.state is (State.confirmed if final else State.provisional)


def test_a_shorter_cool_down_and_a_higher_hour_count_at_once():
    rules = PLAIN.model_copy(update={"cool_down_s": 100.0, "most_an_hour": 1})
    machine = EventMachine(rules, NAMES, KINDS)
    assert len(ends(run(machine, scores_of(0.9, 0.1, 0.1, 0.9, 0.1, 0.1), stop=False))) == 1, "it cools down"
    machine.change_rules(rules.model_copy(update={"cool_down_s": 0.0}))
    (told,) = run(machine, [snippet(6, 0.9)], stop=False)
    assert told.after.swallowed == 1, "one an hour: a digest"
    machine = EventMachine(rules.model_copy(update={"cool_down_s": 0.0}), NAMES, KINDS)
    run(machine, scores_of(0.9, 0.1, 0.1), stop=False)
    machine.change_rules(PLAIN)
    (told,) = run(machine, [snippet(3, 0.9)], stop=False)
    assert told.after.swallowed == 0


any_rules = st.builds(
    lambda open_at, below, **more: EventRules(open_at=open_at, close_at=open_at * below, **more),
    open_at=st.sampled_from([0.3, 0.5, 0.7]), below=st.sampled_from([0.5, 1.0]), open_for=st.integers(1, 3),
    close_after_s=st.sampled_from([0.0, 1.0, 3.0]), merge_gap_s=st.sampled_from([0.0, 2.0]),
    cool_down_s=st.sampled_from([0.0, 4.0]), most_an_hour=st.integers(1, 3), longest_s=st.sampled_from([2.0, 600.0]),
)  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.9]), st.none() | any_rules), min_size=1, max_size=80), any_rules
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_whatever_is_changed_when_no_event_is_lost_or_torn(rows, first):
    """Each event has one `new` and one `end` after it, events do not overlap, and after the last change all is as if the
    rules had always been these, from the first quiet time on that is longer than any rule's."""
    machine, told = EventMachine(first, NAMES, KINDS), []
    for number, (score, new) in enumerate(rows):
        if new is not None:
            machine.change_rules(new)
        told += machine.push(snippet(number, score, False)) + machine.push(snippet(number, score))
    pause = [snippet(len(rows) + number, 0.0) for number in range(40)]
    told += itertools.chain.from_iterable(map(machine.push, pause))
    rules = machine.rules
    after = [snippet(len(rows) + 40 + number, score) for number, (score, _) in enumerate(rows)]
    ids = [one.after.id for one in told if one.kind is Kind.new]
    assert ids == [one.after.id for one in told if one.kind is Kind.end] or machine.event is not None
    assert len(set(ids)) == len(ids)
    spans = [(one.start_s, one.end_s) for one in ends(told) if one.state is State.confirmed and not one.digest]
    assert all(start <= end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    if len(ids) < rules.most_an_hour and not any(one.after.digest for one in told):
        fresh = EventMachine(rules.model_copy(update={"most_an_hour": 10_000}), NAMES, KINDS)
        machine.rules = fresh.rules
        run(fresh, pause, stop=False)
        expected, found = (ends(run(one, after)) for one in (fresh, machine))
        assert [(one.start_s, one.end_s, one.snippets) for one in found] == [
            (one.start_s, one.end_s, one.snippets) for one in expected
        ]


# The command line


TOML = """
data = "kept"
[[camera]]
name = "door"
source = "x.mp4"
[[camera.zones]]
name = "gate"
polygon = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.6]]
"""


def test_the_command_shows_what_stands_over_the_file_and_goes_back(tmp_path):
    path = tmp_path / "cameras.toml"
    path.write_text(TOML)
    with pytest.raises(UserError, match="no such data folder"):
        typed("settings", str(path))
    (tmp_path / "kept").mkdir()
    assert "nothing was changed" in typed("settings", str(path))[1]
    settings = Settings(tmp_path / "kept", file_settings(read_config(path).config))
    changed(settings, "door", {"open_at": 0.8}, who="eve", zones=[])
    changed(settings, None, {"open_at": 0.7}, who="eve")
    shown = typed("settings", str(path))[1]
    assert "all cameras: open_at is 0.7, not 0.5 as in the file (eve, " in shown and "door: open_at is 0.8, not 0.7" in shown
    with pytest.raises(UserError, match="nothing was changed of none"):
        typed("settings", str(path), "--reset", "none")
    assert "door: open_at 0.8 -> 0.7" in typed("settings", str(path), "--reset", "door")[1]
    assert "all cameras: open_at 0.7 -> 0.5" in typed("settings", str(path), "--reset-all")[1]
    assert "nothing was changed" in typed("settings", str(path))[1] and path.read_text() == TOML
    access = Access(tmp_path / "kept" / "access.sqlite")
    noted = [(one.who, one.what, one.camera, one.subject) for one in reversed(access.log())]
    access.close()
    assert noted == [
        ("command line", "changed: open_at", "door", "0.8 -> 0.7"),
        ("command line", "changed: zone gate", "door", "nothing -> 0.1,0.1 0.5,0.1 0.5,0.6"),
        ("command line", "changed: open_at", "", "0.7 -> 0.5"),
    ]
