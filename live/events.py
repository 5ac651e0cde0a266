"""Scores become events: a state machine per camera, without clock, file or thread.

Provisional scores open an event at once; the final ones, a few snippets later, confirm it or not, and rule from there on: how
long it lasted, which class, how sure. The rules are `EventRules`; `docs/events.md` tells them in words.
"""

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from aadc.live.event import Ending, Event, EventMessage, Kind, State, event_id
from aadc.live.rules import EventRules
from aadc.live.scored import ScoredSnippet
from aadc.live.start import Start

HOUR_S = 3600.0
TELL_EVERY_S = 5.0  # an open event is told anew so often, in seconds of the stream
MOST_POINTS = 2000  # of a curve; a longer one is thinned


class EventMachine:
    """The events of one camera.

    `push` takes each snippet once as provisional (may be left out) and once as final, each kind in order; what was seen already
    or comes from an earlier epoch is passed over. Of any hour there are at most `most_an_hour` events and one digest.
    """

    def __init__(self, rules: EventRules, names: Sequence[str], kinds: Sequence[str], start: Start | None = None) -> None:
        """`names`, `kinds` (normal or abnormal): of the C classes that snippets are scored against; `start`: what their seconds
        count from."""
        self.rules, self._start = rules, start or Start()
        self._abnormal = [place for place, kind in enumerate(kinds) if kind == "abnormal"]
        self._names = [names[place] for place in self._abnormal]
        if not self._abnormal:
            raise ValueError("no class is abnormal, so nothing can be an event")
        self._course: _Course | None = None
        self._epoch = -1
        self._last: dict[bool, ScoredSnippet] = {}  # of each kind, by `final`
        self._run: dict[bool, list[ScoredSnippet]] = {True: [], False: []}  # in a row high enough to open an event
        self._step = 0.0  # seconds between snippets
        self._armed = True  # provisional scores that were refuted must fall before they may open another
        self._ended_s = -math.inf  # the last one, that was one
        self._gone: tuple[int, int] = (-1, -1)  # epoch and snippet that had come as an event ended before its final scores did
        self._told: deque[float] = deque()  # when the events of the last hour were opened
        self._count = 0

    @property
    def event(self) -> Event | None:
        """The one that is going on."""
        return self._course.event if self._course else None

    def push(self, one: ScoredSnippet) -> list[EventMessage]:
        """What a scored snippet changes; mostly nothing."""
        last = self._last.get(one.final)
        if one.epoch < self._epoch or (last and (one.epoch, one.snippet) <= (last.epoch, last.snippet)):
            return []
        one = _sane(one, last)
        messages = self._new_epoch(one) if one.epoch > self._epoch else []
        run = self._run[one.final]
        if last and (one.epoch != last.epoch or one.snippet != last.snippet + 1):
            run.clear()
        elif last and one.final:
            self._step = one.second - last.second
        self._last[one.final] = one
        known = one.final and (one.epoch, one.snippet) <= self._gone  # that moment has its event
        if known or one.score < self.rules.open_at or self._cooling(one.second):
            run.clear()
        else:
            run.append(one)
        return messages + (self._push_final(one) if one.final else self._push_provisional(one))

    def change_rules(self, rules: EventRules) -> None:
        """Go by other rules from the next snippet on. What was told stays told; what is undecided (whether a row of snippets
        opens an event, whether one that is quiet is over) is judged by the new ones."""
        self.rules = rules
        for run in self._run.values():
            low = max((place for place, one in enumerate(run) if one.score < rules.open_at), default=-1)
            del run[: low + 1]
        course = self._course
        if course is not None and not course.resting:
            loud = max((place for place, one in enumerate(course.quiet) if one.score >= rules.close_at), default=-1)
            if loud >= 0:
                course.take(course.quiet[: loud + 1])
                del course.quiet[: loud + 1]

    def stop(self, ending: Ending = Ending.stopped) -> list[EventMessage]:
        """End what is going on: the program stops, or the camera has been away for so long that nothing is known of it."""
        if self._course is None:
            return []
        return [self._end(Ending.quiet if self._course.resting and not self._course.digest else ending)]

    def _new_epoch(self, one: ScoredSnippet) -> list[EventMessage]:
        """The picture was away. A confirmed event may go on if that was short; an unconfirmed one will never be confirmed."""
        course, self._epoch = self._course, one.epoch
        for run in self._run.values():
            run.clear()
        if course is None:
            return []
        if course.state is State.provisional:
            return [self._end(Ending.gap)]
        self._rest(course, one.second)
        if course.digest or one.second - course.end_s <= self.rules.merge_gap_s:
            return []
        return [self._end(Ending.gap)]

    def _push_provisional(self, one: ScoredSnippet) -> list[EventMessage]:
        course, run = self._course, self._run[False]
        self._armed = self._armed or one.score < self.rules.close_at
        if course is not None:
            run.clear()
            if course.state is State.provisional and one.score >= self.rules.close_at:
                course.take([one])
                return self._tell_now_and_then(course, one)
            return []
        decided = self._last.get(True)
        if not self._armed or (decided and one.second <= decided.second):
            run.clear()
        if len(run) < self.rules.open_for or self._too_many(one.second):
            return []
        return [self._open(run, State.provisional)]

    def _push_final(self, one: ScoredSnippet) -> list[EventMessage]:
        course, run = self._course, self._run[True]
        if course is not None and course.state is State.confirmed:
            return self._go_on(course, one)
        if len(run) >= self.rules.open_for:
            if course is None:
                return [self._open(run, State.confirmed)]
            course.confirm(run)
            run.clear()
            return [self._message(course, Kind.update)]
        if course is not None and not run and one.snippet >= course.opened.snippet:
            self._armed = False
            return [self._end(Ending.retracted)]
        return []

    def _go_on(self, course: "_Course", one: ScoredSnippet) -> list[EventMessage]:
        """A confirmed event and its next final snippet."""
        rules, run = self.rules, self._run[True]
        longest = HOUR_S if course.digest else rules.longest_s
        if one.second - course.first.second >= longest:
            if not course.resting and not course.quiet and one.score >= rules.close_at:
                course.end_s = one.second
                return [self._end(Ending.cut), self._open([one], State.confirmed, continues=course.id)]
            if not (course.digest and run):  # which may be about to go into it
                self._rest(course, one.second)
                return [self._end(Ending.hour if course.digest else Ending.quiet)]
        if not course.resting:
            if one.score >= rules.close_at:
                course.take([*course.quiet, one])
                course.quiet.clear()
                run.clear()  # what belongs to an event opens no other, and an event may last for days
                return self._tell_now_and_then(course, one)
            course.quiet.append(one)
            if one.second - course.quiet[0].second < rules.close_after_s:
                return []
            self._rest(course, one.second)
            run.clear()
        else:
            course.quiet.append(one)
        soon = bool(run) and run[0].second - course.end_s <= rules.merge_gap_s
        if len(run) >= rules.open_for and (soon or course.digest):
            course.swallowed += course.digest and not soon
            course.take(course.quiet if not course.digest else run)
            course.quiet.clear()
            run.clear()
            course.resting = False
            return self._tell_now_and_then(course, one)
        if course.digest:
            course.quiet.clear()
        elif not soon and one.second - course.end_s >= rules.merge_gap_s:
            return [self._end(Ending.quiet)]
        return []

    def _rest(self, course: "_Course", now_s: float) -> None:
        """Its end is known; whether another that follows is part of it is not yet."""
        if not course.resting:
            course.end_s = course.quiet[0].second if course.quiet else min(course.last.second + self._step, now_s)
            course.resting = True

    def _open(self, run: list[ScoredSnippet], state: State, continues: str | None = None) -> EventMessage:
        digest = self._too_many(run[-1].second)
        if not digest:
            self._told.append(run[-1].second)
        self._count += 1
        new_id = event_id(run[-1].camera, run[-1].utc_ns, self._count)
        self._course = _Course(new_id, run, state, self._abnormal, self._names, int(digest), continues, self._start)
        run.clear()
        return self._message(self._course, Kind.new)

    def _too_many(self, second: float) -> bool:
        while self._told and second - self._told[0] >= HOUR_S:
            self._told.popleft()
        return len(self._told) >= self.rules.most_an_hour

    def _cooling(self, second: float) -> bool:
        return bool(self.rules.cool_down_s) and second < self._ended_s + self.rules.cool_down_s

    def _end(self, ending: Ending) -> EventMessage:
        course = self._course
        assert course is not None
        if ending in (Ending.gap, Ending.stopped, Ending.retracted):
            self._rest(course, math.inf)
        course.ending = ending
        if ending in (Ending.gap, Ending.stopped):
            self._gone = max((one.epoch, one.snippet) for one in self._last.values())
        if ending is Ending.retracted:
            course.state = State.retracted
        elif ending is not Ending.cut:
            self._ended_s = course.end_s
            self._run[True] = [one for one in self._run[True] if not self._cooling(one.second)]
        self._course = None
        self._run[False].clear()
        return self._message(course, Kind.end)

    def _tell_now_and_then(self, course: "_Course", one: ScoredSnippet) -> list[EventMessage]:
        if one.second - course.told_s < TELL_EVERY_S:
            return []
        return [self._message(course, Kind.update)]

    def _message(self, course: "_Course", kind: Kind) -> EventMessage:
        before, course.event, course.told_s = course.event, course.as_event(), course.last.second
        return EventMessage(kind, before, course.event)


class _Course:
    """An event in the making."""

    def __init__(
        self,
        new_id: str,
        run: Sequence[ScoredSnippet],
        state: State,
        abnormal: list[int],
        names: list[str],
        swallowed: int,
        continues: str | None,
        start: Start,
    ) -> None:
        self.id, self.state, self.swallowed, self.continues = new_id, state, swallowed, continues
        self._abnormal, self._names, self._start = abnormal, names, start
        self.opened = run[-1]
        self.confirmed: ScoredSnippet | None = run[-1] if state is State.confirmed else None
        self.event: Event | None = None  # as it was told last
        self.told_s = -math.inf
        self.ending: Ending | None = None
        self.resting = False  # it is over, unless another follows soon
        self.quiet: list[ScoredSnippet] = []  # after the last snippet that is sure to belong to it
        self._begin(run)

    @property
    def digest(self) -> bool:
        return self.swallowed > 0

    def _begin(self, run: Sequence[ScoredSnippet]) -> None:
        self.first, self.end_s = run[0], run[-1].second
        self._sum, self._snippets, self._peak = 0.0, 0, 0.0
        self._classes = np.zeros(len(self._abnormal))
        self._curve: list[tuple[float, float]] = []
        self._points, self._each = 0, 1  # a point of the curve is the highest of so many snippets
        self.take(run)

    def confirm(self, run: Sequence[ScoredSnippet]) -> None:
        """Final scores bear it out, from the first of `run` on; what provisional ones said is forgotten."""
        self.state, self.confirmed = State.confirmed, run[-1]
        self._begin(run)

    def take(self, snippets: Sequence[ScoredSnippet]) -> None:
        """These belong to it, too."""
        for one in snippets:
            self._sum += one.score
            self._snippets += 1
            self._peak = max(self._peak, one.score)
            self._classes += one.score * np.asarray(one.classes, float)[self._abnormal]
            self._add_point(round(one.second, 3), round(one.score, 4))
        self.last, self.end_s = snippets[-1], snippets[-1].second

    def _add_point(self, second: float, score: float) -> None:
        if self._points % self._each == 0:
            if len(self._curve) == MOST_POINTS:
                pairs = zip(self._curve[::2], self._curve[1::2], strict=True)
                self._curve, self._each = [(one[0], max(one[1], other[1])) for one, other in pairs], 2 * self._each
                self._points = 0
            self._curve.append((second, score))
        else:
            self._curve[-1] = (self._curve[-1][0], max(self._curve[-1][1], score))
        self._points += 1

    def as_event(self) -> Event:
        best = int(self._classes.argmax())
        return Event(
            id=self.id,
            camera=self.first.camera,
            state=self.state,
            ending=self.ending,
            start_s=self.first.second,
            end_s=max(self.end_s, self.first.second),
            start_ns=self.first.utc_ns,
            opened_ns=self.opened.utc_ns,
            decided_ns=self.opened.arrived_ns,
            confirmed_ns=self.confirmed.utc_ns if self.confirmed else None,
            category=self._names[best],
            share=min(1.0, float(self._classes[best] / max(self._classes.sum(), 1e-12))),
            peak=self._peak,
            mean=min(self._peak, self._sum / self._snippets),  # rounding
            snippets=self._snippets,
            swallowed=self.swallowed,
            continues=self.continues,
            curve=tuple(self._curve),
            start=self._start.id,
            arrived_ns=self._start.arrived_ns(self.first.second, self.first.utc_ns, self.first.arrived_ns),
            clock=self.first.clock,
        )


def _sane(one: ScoredSnippet, last: ScoredSnippet | None) -> ScoredSnippet:
    """With a score in [0, 1], a distribution without holes, and a time that is not before the last one's."""
    score = min(max(float(one.score), 0.0), 1.0) if math.isfinite(one.score) else 0.0
    second = max(float(one.second), last.second) if last else float(one.second)
    return one._replace(score=score, second=second, classes=np.nan_to_num(one.classes, nan=0.0, posinf=0.0, neginf=0.0))
