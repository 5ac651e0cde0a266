"""What administrators changed of a file of cameras: kept beside its data, in `DATA/settings.json`, and in force over it.

The file stays as its owner wrote it. For all cameras, and for each, values stand here in place of the file's; a camera without
rules of its own in the file goes by those for all, as they are in force. What is as the file says is not kept.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from aadc.live.areas import Zone, Zones
from aadc.live.config import CameraRules, LiveConfig
from aadc.live.rules import EventRules
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, replace_file
from aadc.manifests.records import Record, problems_of, read_record

SETTINGS = "settings.json"
_ZONES: TypeAdapter[list[Zone]] = TypeAdapter(Zones)


class FileCamera(Record):
    """What the file says of one camera. `rules` None: those for all."""

    rules: CameraRules | None = None
    zones: list[Zone] = []


class FileSettings(Record):
    """What the file of cameras says of all that may be changed."""

    rules: CameraRules = CameraRules()
    cameras: dict[str, FileCamera] = {}


class Change(Record):
    """A value in place of the file's. `file`: what that was then; `who`, `utc_ns`: by whom, and when (UTC, nanoseconds)."""

    value: Any
    file: Any
    who: str
    utc_ns: int


class Changes(Record):
    """All that was changed for all cameras, or for one."""

    rules: dict[str, Change] = {}
    zones: Change | None = None


class Kept(Record):
    """The record in `settings.json`."""

    every: Changes = Changes()
    cameras: dict[str, Changes] = {}

    def of(self, camera: str | None) -> Changes:
        """What was changed for one camera, or (None) for all."""
        return self.every if camera is None else self.cameras.get(camera, Changes())

    def but(self, camera: str | None, changes: Changes) -> "Kept":
        """The same with other changes there."""
        if camera is None:
            return self.model_copy(update={"every": changes})
        others = {name: one for name, one in self.cameras.items() if name != camera}
        return self.model_copy(update={"cameras": others | ({camera: changes} if changes != Changes() else {})})


class InForce(NamedTuple):
    """What counts for a camera."""

    rules: EventRules
    zones: list[Zone]


class ChangedMeanwhileError(UserError):
    """Somebody else changed the same while it was looked at."""


class Settings:
    """What counts, for each camera, and changes of it. Threads and processes may share a folder.

    Args:
        data: the data folder; file: what the file of cameras says.
    """

    def __init__(self, data: Path, file: FileSettings) -> None:
        self.path, self.file = data / SETTINGS, file
        self._mark: tuple[int, ...] | None = (-1,)  # of the file as it was read; None where there is none
        self._told_mark: tuple[int, ...] | None = (-1,)
        self._kept, self.problem = Kept(), ""

    def news(self) -> bool:
        """Whether something may have been changed since this was asked last, which is true the first time. `problem` says then
        what is wrong with what is kept."""
        self._refresh()
        told, self._told_mark = self._told_mark, self._mark
        return told != self._mark

    def in_force(self, camera: str | None) -> InForce:
        """What counts for a camera; for None, for those without rules of their own. Changes that the file, which was edited
        since, leaves no sense in count for nothing: the file's values do."""
        self._refresh()
        zones = self._file_zones(camera)
        if (change := self._kept.of(camera).zones) is not None:
            with suppress(ValidationError):  # which `notes` tells
                zones = _ZONES.validate_python(change.value)
        return InForce(self._rules(self._kept, camera), zones)

    def plain(self, camera: str | None) -> dict[str, Any]:
        """All about one camera, or (None) all of them, as JSON has it. `rules`, `zones`: what counts; `file`: what would,
        without changes here; `changed`: by name, who did it and when; `version`: of all this."""
        rules, zones = self.in_force(camera)
        changes = self._kept.of(camera)
        base = self._base(self._kept, camera)
        told = {name: one.model_dump(include={"who", "utc_ns"}) for name, one in changes.rules.items()}
        if changes.zones is not None:
            told["zones"] = changes.zones.model_dump(include={"who", "utc_ns"})
        found = {
            "rules": rules.model_dump(),
            "zones": _plain(zones),
            "file": {"rules": base.model_dump(), "zones": _plain(self._file_zones(camera))},
            "own_rules": camera is not None and self._file_camera(camera).rules is not None,
            "changed": told,
        }
        return found | {"version": hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]}

    def change(
        self,
        camera: str | None,
        asked: Mapping[str, Any],
        who: str,
        note: Callable[[str, str], None],
        seen: str | None = None,
    ) -> None:
        """Change some values of a camera, or (None) of all; a value of None goes back to the file's.

        Args:
            asked: `rules`: by name; `zones`: all of them.
            note: writes down what (`open_at`) and how (`0.5 -> 0.6`), once each, before anything is changed.
            seen: the `version` that whoever asks has looked at.
        Raises:
            ChangedMeanwhileError: it is another by now.
            UserError: values that cannot be, and all that is wrong with them; or they cannot be kept. Nothing is changed then.
        """
        with self._alone():
            self._mark = (-1,)
            before = self.plain(camera)
            if self.problem:
                raise UserError(f"{self.problem}; move it away first")
            if seen is not None and seen != before["version"]:
                raise ChangedMeanwhileError("somebody changed this meanwhile; look at it again")
            kept = self._kept.but(camera, self._changed(camera, asked, who))
            self._check_others(kept, camera)
            after = Settings(self.path.parent, self.file)
            after._mark, after._kept = self._read_mark(), kept
            for what, how in _differences(before, after.plain(camera)):
                note(what, how)
            try:
                replace_file(self.path, kept.model_dump_json(indent=1) + "\n")
            except UserError:
                note("nothing", "it could not be kept")
                raise
            self._refresh()

    def reset(self, camera: str | None, who: str, note: Callable[[str, str], None]) -> None:
        """Go back to what the file says, for a camera, or (None) for what holds for all. `UserError` as of `change`."""
        self.change(camera, {"rules": None, "zones": None} if camera is not None else {"rules": None}, who, note)

    def changed(self) -> list[str]:
        """The cameras of which something is kept here."""
        self._refresh()
        return list(self._kept.cameras)

    def notes(self) -> list[str]:
        """What whoever starts should know: where changes stand over the file, and where they cannot."""
        self._refresh()
        if self.problem:
            return [f"{self.problem}; the file of cameras counts alone"]
        told = []
        for camera in (None, *self._kept.cameras):
            if camera is not None and camera not in self.file.cameras:
                told.append(f"{self.path}: has changes for {camera}, which the file does not name; they count for nothing")
                continue
            where, base = camera or "all cameras", self._base(self._kept, camera).model_dump()
            changes = self._kept.of(camera)
            for name, one in changes.rules.items():
                file = base.get(name)
                told.append(f"{where}: {name} is {_short(one.value)}, not {_short(file)} as in the file{_by(one, file)}")
            if changes.zones is not None:
                told.append(f"{where}: zones are not those of the file{_by(changes.zones, _plain(self._file_zones(camera)))}")
            told += [f"{where}: {problem}; the file's values count instead" for problem in self._problems(self._kept, camera)]
        return told

    # What is behind

    def _refresh(self) -> None:
        mark = self._read_mark()
        if mark == self._mark:
            return
        self._mark = mark  # before it is read: what is written in between is read the next time
        kept, self.problem = self._read()
        self._kept = self._kept if self.problem else kept  # what counted goes on, until it is started anew

    def _read_mark(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> tuple[Kept, str]:
        if self._mark is None:
            return Kept(), ""
        try:
            return read_record(self.path, Kept, "move it away, or mend it"), ""
        except UserError as error:
            return Kept(), str(error).removesuffix("; move it away, or mend it")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time, of all processes."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({reason(error)})") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _file_zones(self, camera: str | None) -> list[Zone]:
        return [] if camera is None else self._file_camera(camera).zones

    def _file_camera(self, camera: str) -> FileCamera:
        return self.file.cameras.get(camera, FileCamera())

    def _base(self, kept: Kept, camera: str | None) -> EventRules:
        """The rules without what was changed for this camera."""
        if camera is None:
            return self.file.rules
        return self._file_camera(camera).rules or self._rules(kept, None)

    def _rules(self, kept: Kept, camera: str | None) -> EventRules:
        base = self._base(kept, camera)
        try:
            return _ruled(base, {name: one.value for name, one in kept.of(camera).rules.items()})
        except ValidationError:
            return base

    def _problems(self, kept: Kept, camera: str | None) -> list[str]:
        found, changes = [], kept.of(camera)
        for check in (
            lambda: _ruled(self._base(kept, camera), {name: one.value for name, one in changes.rules.items()}),
            lambda: None if changes.zones is None else _ZONES.validate_python(changes.zones.value),
        ):
            try:
                check()
            except ValidationError as error:
                found.append(_told(error))
        return found

    def _changed(self, camera: str | None, asked: Mapping[str, Any], who: str) -> Changes:
        """The changes of a camera with those that are asked for. `UserError`: all that is wrong with them."""
        changes, base = self._kept.of(camera), self._base(self._kept, camera)
        problems = [f"{name}: there is no such setting" for name in asked if name not in ("rules", "zones")]
        new = {name: one.value for name, one in changes.rules.items()}
        if "rules" in asked:
            wanted = {} if (wished := asked["rules"]) is None else wished
            new = {} if wished is None else new
            if isinstance(wanted, Mapping):
                new = {name: value for name, value in {**new, **wanted}.items() if value is not None}
            else:
                problems.append("rules: not a set of named values")
        values: dict[str, Any] = {}
        try:
            values = _ruled(base, new).model_dump(include=set(new))
        except ValidationError as error:
            problems.append(_told(error))
        zones, file_zones = None if changes.zones is None else changes.zones.value, _plain(self._file_zones(camera))
        if "zones" in asked:
            zones = asked["zones"]
            if camera is None:
                problems.append("zones: belong to a camera")
            elif zones is not None:
                try:
                    zones = _plain(_ZONES.validate_python(zones))
                except ValidationError as error:
                    problems.append("; ".join(f"zones {one}" for one in _told(error).split("; ")))
        if problems:
            raise UserError("; ".join(problems))

        def as_change(old: Change | None, value: Any, file: Any) -> Change:
            if old is not None and old.value == value:
                return old
            return Change(value=value, file=file, who=who, utc_ns=time.time_ns())

        usual = base.model_dump()
        rules = {
            name: as_change(changes.rules.get(name), value, usual[name])
            for name, value in values.items()
            if value != usual[name]
        }
        kept_zones = None if zones is None or zones == file_zones else as_change(changes.zones, zones, file_zones)
        return Changes(rules=rules, zones=kept_zones)

    def _check_others(self, kept: Kept, camera: str | None) -> None:
        """`UserError` where cameras that go by the rules for all could not with these."""
        if camera is not None:
            return
        heirs = [name for name, one in self.file.cameras.items() if one.rules is None]
        problems = [f"{name}: {one}" for name in heirs for one in self._problems(kept, name)]
        if problems:
            raise UserError("; ".join(problems))


def file_settings(config: LiveConfig) -> FileSettings:
    """What a file of cameras says of all that may be changed."""
    cameras = {camera.name: FileCamera(rules=camera.rules, zones=camera.zones) for camera in config.cameras}
    return FileSettings(rules=config.rules, cameras=cameras)


def _ruled(base: EventRules, changed: Mapping[str, Any]) -> CameraRules:
    return CameraRules.model_validate(base.model_dump() | dict(changed))


def _told(error: ValidationError) -> str:
    return problems_of(error, most=50).replace("Extra inputs are not permitted", "there is no such setting")


def _plain(zones: list[Zone]) -> list[dict[str, Any]]:
    return [zone.model_dump(mode="json") for zone in zones]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "nothing" if value is None else str(value)[:80]


def _by(one: Change, file: Any) -> str:
    when = f"{datetime.fromtimestamp(one.utc_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
    moved = f"; the file said {_short(one.file)} then" if not isinstance(file, list) and file != one.file else ""
    moved = "; the file has changed since" if isinstance(file, list) and file != one.file else moved
    return f" ({one.who}, {when}{moved})"


def _differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What differs: (name, `old -> new`), zones one by one."""
    for name, value in after["rules"].items():
        if (old := before["rules"][name]) != value:
            yield name, f"{_short(old)} -> {_short(value)}"
    old_zones, new_zones = ({zone["name"]: _corners(zone) for zone in one["zones"]} for one in (before, after))
    for name in {**old_zones, **new_zones}:
        old, new = old_zones.get(name, "nothing"), new_zones.get(name, "nothing")
        if old != new:
            yield f"zone {name}", f"{old} -> {new}"


def _corners(zone: dict[str, Any]) -> str:
    return " ".join(f"{x:.3g},{y:.3g}" for x, y in zone["polygon"])
