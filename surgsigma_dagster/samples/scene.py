"""A scripted procedure, and what is where in it at time t: the same script and time give the same scene.

A script is a list of beats. In a beat the instruments travel to their targets, act, and leave unless the next
beat uses them too; the state of the tissues moves to the beat's end state while they act. What an instrument
does is therefore true of the picture at every instant: one that travels acts on nothing.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np

from surgsigma_dagster.samples.shapes import Anatomy, Point

TRAVEL_S, LEAVE_S = 0.8, 0.5
_RIM: dict[str, Point] = {
    **{"left": (-1.25, 0.55), "right": (1.25, 0.55), "bottom": (-0.12, 1.35)},
    **{"top": (0.75, -1.2), "low_right": (0.9, 1.05)},
}
_HELD = frozenset({"retract", "grasp", "pack", "Hold", "Grasp", "Pull"})  # with closed jaws
_STILL = frozenset({"retract", "Hold"})


@dataclass(frozen=True)
class Use:
    """An instrument's part in a beat, in the dataset's own words; without a target it only shows itself."""

    kind: str
    verb: str | None = None
    target: str | None = None
    side: str = "bottom"


@dataclass(frozen=True)
class Beat:
    """A stretch of the procedure, in seconds; `to` are the state values at its end. The first use leads."""

    seconds: float
    phase: str
    step: str = ""
    uses: tuple[Use, ...] = ()
    to: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """An instrument: tip and entry in scope units, jaws from 0 (closed) to 1; no verb while it travels."""

    kind: str
    tip: Point
    entry: Point
    opening: float
    verb: str | None
    target: str | None


@dataclass(frozen=True)
class Scene:
    """Everything that a frame shows. `camera` is the drift (x, y), the zoom and the roll (radians)."""

    anatomy: Anatomy
    seed: int
    t: float
    phase: str
    step: str
    state: Mapping[str, float]
    tools: tuple[Tool, ...]
    camera: tuple[float, float, float, float]


@dataclass(frozen=True)
class Action:
    """An instrument acts on a target from `start` to `end`, seconds."""

    start: float
    end: float
    use: Use
    leads: bool


def _smooth(u: float) -> float:
    u = min(max(u, 0.0), 1.0)
    return u * u * (3 - 2 * u)


@dataclass(frozen=True)
class Script:
    """A procedure. `seed` varies the camera and the texture of the tissues."""

    anatomy: Anatomy
    beats: tuple[Beat, ...]
    seed: int = 0

    @cached_property
    def starts(self) -> list[float]:
        """The instant at which each beat begins, then the end of the last, seconds."""
        return [0.0, *accumulate(beat.seconds for beat in self.beats)]

    @property
    def seconds(self) -> float:
        """The length of the procedure."""
        return self.starts[-1]

    @cached_property
    def _states(self) -> list[dict[str, float]]:
        nothing: dict[str, float] = {}
        return list(accumulate(self.beats, lambda state, beat: {**state, **beat.to}, initial=nothing))

    def at(self, t: float) -> Scene:
        """The scene at `t` seconds. Raises ValueError outside the procedure."""
        if not 0 <= t < self.seconds:
            raise ValueError(f"t = {t} s is outside the procedure of {self.seconds} s")
        i = int(np.searchsorted(self.starts, t, side="right")) - 1
        beat, local = self.beats[i], t - self.starts[i]
        before, after = self._states[i], self._states[i + 1]
        done = _smooth((local - TRAVEL_S) / (beat.seconds - TRAVEL_S - LEAVE_S))
        state = {key: (1 - done) * before.get(key, 0.0) + done * end for key, end in after.items()}
        tools = tuple(self._tool(i, use, t, local, state) for use in reversed(beat.uses))
        state |= {tool.verb: 1.0 for tool in tools if tool.verb}  # water flows while an irrigator irrigates
        return Scene(self.anatomy, self.seed, t, beat.phase, beat.step, state, tools, self._camera(t))

    def actions(self) -> list[Action]:
        """Every stretch in which an instrument acts, by start; beats that go on with one are joined."""
        found: list[Action] = []
        for i, beat in enumerate(self.beats):
            for use in beat.uses:
                if use.target is None:
                    continue
                start, end = (self.starts[i] + instant for instant in self._window(i, use))
                last = next((a for a in reversed(found) if a.use == use and a.end == start), None)
                if last:
                    found.remove(last)
                found.append(Action(last.start if last else start, end, use, use is beat.uses[0]))
        return sorted(found, key=lambda action: action.start)

    def stretches(self, of: str) -> Iterator[tuple[float, float, str]]:
        """(start, end, label) in seconds of every run of one `phase` or `step` (the value of `of`)."""
        start = 0.0
        for i, beat in enumerate(self.beats):
            label = getattr(beat, of)
            if i + 1 == len(self.beats) or getattr(self.beats[i + 1], of) != label:
                yield start, self.starts[i + 1], label
                start = self.starts[i + 1]

    def _pair(self, i: int, use: Use) -> Use | None:
        """What the same instrument does in beat `i`, if it is there."""
        uses = self.beats[i].uses if 0 <= i < len(self.beats) else ()
        return next((other for other in uses if (other.kind, other.side) == (use.kind, use.side)), None)

    def _window(self, i: int, use: Use) -> tuple[float, float]:
        """From when to when an instrument acts in beat `i`, in seconds of the beat."""
        before, stays = self._pair(i - 1, use), self._pair(i + 1, use) or i + 1 == len(self.beats)
        holds_on = before is not None and before.target == use.target
        return 0.0 if holds_on else TRAVEL_S, self.beats[i].seconds - (0.0 if stays else LEAVE_S)

    def _place(self, use: Use, state: Mapping[str, float]) -> Point:
        if use.target is None or use.verb is None:
            x, y = _RIM[use.side]
            return 0.42 * x, 0.42 * y
        return self.anatomy.anchor(state, use.verb, use.target)

    def _tool(self, i: int, use: Use, t: float, local: float, state: Mapping[str, float]) -> Tool:
        (start, end), before = self._window(i, use), self._pair(i - 1, use)
        rim, place = np.array(_RIM[use.side]), np.array(self._place(use, state))
        source = np.array(self._place(before, state)) if before else rim
        arrived = _smooth(local / start) if start else 1.0
        leaving = _smooth((local - end) / LEAVE_S)
        stroke = 0.0 if use.verb in _STILL else 0.018 * np.sin(2 * np.pi * (1.1 * t + 0.3 * len(use.kind)))
        x, y = source + arrived * (place - source) + leaving * (rim - place) + stroke * np.array([0.4, 1.0])
        acts = use.target is not None and start <= local <= end
        opening = 0.05 if acts and use.verb in _HELD else 0.55 + 0.45 * np.cos(2 * np.pi * 0.9 * t)
        verb, target = (use.verb, use.target) if acts else (None, None)
        return Tool(use.kind, (float(x), float(y)), (1.6 * rim[0], 1.6 * rim[1]), float(opening), verb, target)

    @cached_property
    def _pose(self) -> tuple[float, float, float]:
        a, b, c = np.random.default_rng(self.seed).uniform(-1, 1, 3)
        return float(a), float(b), float(c)

    def _camera(self, t: float) -> tuple[float, float, float, float]:
        a, b, c = self._pose
        x = 0.02 * math.sin(0.35 * t + 3 * a) + 0.03 * b
        y = 0.015 * math.sin(0.27 * t + 2 * b) + 0.02 * c
        return x, y, 1.0 + 0.05 * a + 0.015 * math.sin(0.19 * t), 0.1 * c + 0.012 * math.sin(0.23 * t)
