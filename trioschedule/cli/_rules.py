"""What is worth knowing about schedules before they run: each rule is a function that gives findings."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

from .. import After, At, Delay, JobSpec, Manual, Overlap, RunStatus, Trigger
from .._time import US, from_us
from ..triggers import is_one_shot, next_us
from ..triggers._wall import DAY
from ._check import MOST_TOGETHER, Finding, Plan, Report, Settings, Subject, is_hashable, plans_of
from ._show import seconds_text


def check(subjects: Sequence[Subject], settings: Settings, known: Iterable[Finding] = ()) -> Report:
    """Look at jobs in a span, and report."""
    plans, share = plans_of(subjects, settings)
    findings = list(known)
    overlap = partial(_overlap, known={})
    for plan in plans:
        for rule in (_firing, _clock, overlap, _jitter, _grace):
            findings += rule(plan, settings)
    if share is not None:
        findings.append(_cut(share))
    findings += _duplicates(plans)
    findings += _names(plans)
    findings += _herd(plans, settings)
    return Report(settings, plans, tuple(findings))


def _cut(share: int) -> Finding:
    return Finding(
        job=None, rule="slots", severity="note",
        message=f"all schedules share {MOST_TOGETHER:,} slots: of each the first {share:,} are looked at one by one",
        cure="fewer --days, or fewer jobs at a time", facts={"slots": share},
    )  # fmt: skip


# --- one job --------------------------------------------------------------------------------------------------------


def _firing(plan: Plan, settings: Settings) -> Iterator[Finding]:
    """Does it fire at all, and go on?"""
    job, trigger, tz = plan.subject.name, plan.subject.trigger, plan.subject.tz
    if plan.error is not None:
        when = f" after {_when(plan.slots[-1], tz)}, where the job ends as FAILED" if plan.slots else ""
        yield Finding(
            job=job, rule="fails", severity="error", message=f"its trigger fails{when}: {plan.error}",
            cure=None if plan.slots else "a scheduler refuses it",
        )  # fmt: skip
    elif isinstance(trigger, Manual):
        yield Finding(job=job, rule="never", severity="note", message="runs by run_now() only, as Manual() says")
    elif isinstance(trigger, At) and not plan.slots and plan.following is None:
        yield Finding(
            job=job, rule="past", severity="warning",
            message=f"{_when(_at(trigger), tz)} is past: it runs at once when a scheduler starts",
            cure="take the job out, or give it a time to come",
        )  # fmt: skip
    elif not plan.slots and plan.following is None:
        yield Finding(
            job=job, rule="never", severity="error",
            message="never fires: it has no slot from here on, so a scheduler leaves it out",
            cure="look at its end=, its between(…) and at what is taken away from it",
        )  # fmt: skip
    elif not plan.slots and plan.following is not None:
        days = (settings.end - settings.start) // (DAY * US)
        yield Finding(
            job=job, rule="rare", severity="note",
            message=f"fires first on {_when(plan.following, tz)}, after the {days} days looked at",
        )  # fmt: skip
    elif plan.is_whole and plan.following is None and _goes_on(trigger):
        yield Finding(job=job, rule="ends", severity="note", message=f"fires last on {_when(plan.slots[-1], tz)}")


def _at(trigger: At) -> int:
    due = next_us(trigger, -(2**62))
    assert due is not None
    return due


def _goes_on(trigger: Trigger) -> bool:
    # The slot of a Delay after the first is told by the end of a run.
    return not is_one_shot(trigger) and not isinstance(trigger, Delay)


def _clock(plan: Plan, settings: Settings) -> Iterator[Finding]:
    """Which of its times does a change of the clock skip or repeat?"""
    if isinstance(plan.effects, str):
        yield Finding(
            job=plan.subject.name, rule="fails", severity="error", message=f"its trigger fails: {plan.effects}"
        )
        return
    for effect in plan.effects:
        cure = None
        if effect.is_warning:
            option = "gap" if effect.change.is_gap else "fold"
            first, end = (f"{wall // 3_600 % 24:02}:{wall // 60 % 60:02}" for wall in effect.change.walls)
            cure = f"choose a time outside of {first} to {end}"
            if plan.subject.line is None:
                cure += f", or say with {option}= what is meant"
        yield Finding(
            job=plan.subject.name, rule="clock", severity="warning" if effect.is_warning else "note",
            message=str(effect), cure=cure, facts=effect.to_json(),
        )  # fmt: skip


_Consequences: TypeAlias = dict[Hashable, tuple[str, bool]]


def _overlap(plan: Plan, settings: Settings, known: _Consequences) -> Iterator[Finding]:
    """Does a run last until the next slot or longer, and what becomes of that slot?"""
    closest = plan.closest
    taking = _duration(plan.subject, settings)
    if closest is None or taking is None:
        return
    seconds, source = taking
    if seconds * US < closest[0]:  # a slot comes before the end of a run at the same instant
        return
    key = id(plan.slots), seconds, *_kept(plan.subject).values()
    if key not in known:
        known[key] = _consequence(plan, seconds, settings)
    words, is_lossy = known[key]
    verb = "outlasts" if seconds * US > closest[0] else "takes all of"
    overlap = plan.subject.options.overlap
    is_meant = "overlap" in plan.subject.given and not (overlap is Overlap.QUEUE and is_lossy)
    yield Finding(
        job=plan.subject.name, rule="overlap", severity="note" if is_meant else "warning",
        message=(
            f"a run of {seconds_text(seconds)} ({source}) {verb} the {seconds_text(closest[0] / US)} from "
            f"{_when(closest[1], plan.subject.tz)} to the next slot: {words} (overlap={str(overlap)!r})"
        ),
        cure=_OVERLAP_CURES[plan.subject.line is not None],
    )  # fmt: skip


_OVERLAP_CURES: Final = {
    False: "a longer period, a shorter timeout=, or overlap= to say what is meant",
    True: "a longer period, or trioschedule crontab with --overlap or --timeout",
}


def _duration(subject: Subject, settings: Settings) -> tuple[float, str] | None:
    """How long a run of a job is thought to take, and who says so."""
    timeout = subject.options.timeout
    guess = settings.durations.get(subject.name, settings.durations.get(None))
    if guess is not None and (timeout is None or guess <= timeout):
        return guess, "as --duration says"
    if timeout is None:
        return None
    if subject.options.attempts > 1 and guess is None:
        return timeout * subject.options.attempts, f"{subject.options.attempts} attempts of its timeout"
    return timeout, "its timeout"


def _consequence(plan: Plan, seconds: float, settings: Settings) -> tuple[str, bool]:
    """What the scheduler does if each run takes so long, and whether slots are lost."""
    from ..testing import simulate

    end = settings.end if plan.is_whole else plan.slots[-1] + 1
    spec = simulated(plan.subject)
    timeline = simulate([spec], from_us(settings.start), from_us(end), durations=seconds)
    slots = sum(run.slots or 1 for run in timeline)
    skipped = sum(run.slots or 1 for run in timeline.skipped)
    of = f"of {slots:,}" if plan.is_whole else f"of the first {slots:,}"
    lost = f"{skipped:,} {of} slots are skipped"
    match plan.subject.options.overlap:
        case Overlap.SKIP:
            return lost, bool(skipped)
        case Overlap.REPLACE:
            cut = sum(run.status is RunStatus.CANCELLED for run in timeline)
            return f"{cut:,} {of} runs are cancelled for the next one", bool(cut)
        case Overlap.QUEUE:
            late = max((run.lateness or 0 for run in timeline.ran), default=0)
            return f"runs start up to {seconds_text(late)} late" + (f", and {lost}" if skipped else ""), bool(skipped)
        case _:
            ends = ((run.started_us, 1) for run in timeline.ran), ((run.finished_us, -1) for run in timeline.ran)
            return f"up to {_most(ends):,} run at once" + (f", and {lost}" if skipped else ""), bool(skipped)


def _most(ends: Iterable[Iterable[tuple[int | None, int]]]) -> int:
    """How many run at once at most; one that ends at an instant is still there for one that starts then."""
    live = most = 0
    for _, change in sorted((us, -change) for pairs in ends for us, change in pairs if us is not None):
        live -= change
        most = max(most, live)
    return most


def simulated(subject: Subject) -> JobSpec:
    """The job without its function, its predicate and its handlers: nothing of the user's is called."""
    return JobSpec(subject.trigger, _nothing, name=subject.name, **_kept(subject))


def _kept(subject: Subject) -> dict[str, Any]:
    """The options that decide what becomes of slots."""
    return {name: getattr(subject.options, name) for name in ("overlap", "max_instances", "max_queued", "max_runs")}


async def _nothing() -> None:
    """Stands for the function of a job."""


def _jitter(plan: Plan, settings: Settings) -> Iterator[Finding]:
    closest, jitter = plan.closest, plan.subject.options.jitter
    if jitter and closest is not None and jitter * US > closest[0]:
        yield Finding(
            job=plan.subject.name, rule="jitter", severity="warning",
            message=(
                f"jitter of {seconds_text(jitter)} is wider than the {seconds_text(closest[0] / US)} from "
                f"{_when(closest[1], plan.subject.tz)} to the next slot, and ends there"
            ),
            cure="a jitter below the shortest distance of two slots",
        )  # fmt: skip


def _grace(plan: Plan, settings: Settings) -> Iterator[Finding]:
    grace = plan.subject.options.misfire_grace
    if grace is not None and grace < 1 and plan.slots:
        yield Finding(
            job=plan.subject.name, rule="grace", severity="warning",
            message=f"misfire_grace of {grace:g} s: a slot is dropped if the program is busy so long when it comes",
            cure="a few seconds at least, or misfire='skip' for slots that were really missed",
        )  # fmt: skip


# --- several jobs ---------------------------------------------------------------------------------------------------


def _duplicates(plans: Sequence[Plan]) -> Iterator[Finding]:
    """Who does the same at the same times?"""
    recurring = [plan for plan in plans if plan.slots and not is_one_shot(plan.subject.trigger)]
    shared: dict[str, tuple[Plan, str]] = {}
    for group in _alike(recurring):
        if len(group) > 1:
            shared |= _coinciding(group)
    for plan in recurring:
        if plan.subject.name in shared:
            other, words = shared[plan.subject.name]
            yield Finding(
                job=plan.subject.name, rule="duplicate", severity="warning",
                message=f"does the same as {other.subject.name!r}, {words}",
                cure="take one of them out, or join their triggers with |",
                facts={"other": other.subject.name},
            )  # fmt: skip


def _alike(plans: Sequence[Plan]) -> list[list[Plan]]:
    """The jobs that do the same, together."""
    groups: dict[object, list[Plan]] = {}
    unhashable: list[list[Plan]] = []
    for plan in plans:
        what = plan.subject.what
        if is_hashable(what):
            groups.setdefault(what, []).append(plan)
            continue
        group = next((group for group in unhashable if group[0].subject.what == what), None)
        if group is None:
            unhashable.append([plan])
        else:
            group.append(plan)
    return [*groups.values(), *unhashable]


def _coinciding(group: Sequence[Plan]) -> dict[str, tuple[Plan, str]]:
    """By name who of a group coincides with an earlier one: with which, and how."""
    found: dict[str, tuple[Plan, str]] = {}
    # Only slots that differ are compared one by one: a crontab may hold the same line very often.
    firsts: dict[tuple[bool, bytes], Plan] = {}
    keys: dict[int, bytes] = {}
    times: dict[int, frozenset[int]] = {}
    for plan in group:
        if id(plan.slots) not in keys:
            keys[id(plan.slots)] = array("q", plan.slots).tobytes()
        key = plan.is_whole, keys[id(plan.slots)]
        same = firsts.setdefault(key, plan)
        if same is not plan:
            # Of several alike each names the first; that is the one that its equal has found, if there is one.
            found[plan.subject.name] = found.get(same.subject.name, (same, "at the same times"))
            continue
        for other in firsts.values():
            if other is not plan and (words := _shared(plan, other, times)):
                found[plan.subject.name] = other, words
                break
    return found


def _shared(plan: Plan, other: Plan, times: dict[int, frozenset[int]]) -> str | None:
    """How the slots of two jobs coincide: entirely, or all of the rarer one's."""
    # Where one was not looked at to the end, only as far as that.
    until = min((one.slots[-1] for one in (plan, other) if not one.is_whole), default=None)
    counts = [len(one.slots) if until is None else bisect_right(one.slots, until) for one in (plan, other)]
    if counts[0] == counts[1]:
        is_same = plan.slots[:1] == other.slots[:1] and plan.slots[: counts[0]] == other.slots[: counts[1]]
        return "at the same times" if is_same else None
    if not min(counts):
        return None  # nothing is known of the one in the time that is known of the other
    rarer, more = (plan, other) if counts[0] < counts[1] else (other, plan)
    count = min(counts)
    if not all(_has(more, rarer.slots[index]) for index in {0, count // 2, max(count - 1, 0)} if index < count):
        return None  # most pairs have nothing in common, and need no set
    if id(more.slots) not in times:
        times[id(more.slots)] = frozenset(more.slots)
    if not times[id(more.slots)].issuperset(islice(rarer.slots, count)):
        return None
    return "which runs at all of its times and more" if rarer is plan else "at all of that one's times and more"


def _has(plan: Plan, us: int) -> bool:
    index = bisect_left(plan.slots, us)
    return index < len(plan.slots) and plan.slots[index] == us


def _names(plans: Sequence[Plan]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for plan in plans:
        name = plan.subject.name
        other = seen.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            yield Finding(
                job=name, rule="name", severity="warning", message=f"its name can be taken for {other!r}",
                cure="names that differ in more than case and spaces", facts={"other": other},
            )  # fmt: skip


def _herd(plans: Sequence[Plan], settings: Settings) -> Iterator[Finding]:
    """Do too many start at one instant?"""
    held = [plan for plan in plans if not plan.subject.options.jitter and not isinstance(plan.subject.trigger, After)]
    if len(held) <= settings.herd:
        return
    slots = {id(plan.slots): plan.slots for plan in held}
    counts = Counter[int]()
    # The slots of equal triggers are counted once, for all of them.
    for which, jobs in Counter(id(plan.slots) for plan in held).items():
        for us in slots[which]:
            counts[us] += jobs
    crowded = [us for us, jobs in counts.items() if jobs > settings.herd]
    if not crowded:
        return
    worst = max(crowded, key=lambda us: (counts[us], -us))
    there = [plan.subject for plan in held if _has(plan, worst)]
    tz = there[0].tz
    others = f", and more than {settings.herd} at {len(crowded) - 1:,} other times" if len(crowded) > 1 else ""
    yield Finding(
        job=None, rule="herd", severity="warning",
        message=f"{len(there):,} jobs start together on {_when(worst, tz)} {tz}{others}",
        cure="spread them: other minutes, jitter=, or a queue with a limit",
        facts={"at": from_us(worst, tz).isoformat(), "jobs": [subject.name for subject in there]},
    )  # fmt: skip


def _when(us: int, tz: str) -> str:
    moment = from_us(us, tz)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if us % (60 * US) else f"{moment:%Y-%m-%d %H:%M}"
