"""A scheduler in the foreground: what it runs, how it is shown, and how signals end it."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Final, final

import attrs
import pendulum
import trio

from .. import JobSpec, Misfire, Overlap, Registry, Scheduler, current_run, events, open_scheduler
from ._crontab import Entry, Problem, bare
from ._process import Command, CommandFailedError, Identity, Stream, run_command
from ._show import TERMINAL_GONE, Planned, Show, output_trouble

SYSTEM_PATH: Final = "/usr/bin:/bin"
_EVENTS: Final = 10_000


@final
@attrs.frozen(kw_only=True)
class Serving:
    """How long, and how patiently at the end; `queues` and `tz` are those of `open_scheduler`."""

    tz: str
    title: str
    seconds: float = math.inf
    grace: float = 5.0
    queues: Mapping[str, int | None] | None = None
    registry: Registry | None = None


@final
class Stop:
    """Asked to end: gently at first, at once the second time. What is called here may be called from sync code."""

    def __init__(self) -> None:
        self.gently = trio.Event()
        self.at_once = trio.CancelScope()
        self.reason = "stopped"
        self.trouble = ""

    def ask(self, reason: str) -> None:
        if self.gently.is_set():
            self.at_once.cancel()
        else:
            self.reason = reason
            self.gently.set()

    def now(self, reason: str) -> None:
        """Do not wait for anything."""
        if not self.gently.is_set():
            self.ask(reason)
        self.at_once.cancel()

    def output_lost(self, error: OSError) -> None:
        """The output cannot be written any more."""
        if isinstance(error, BrokenPipeError):
            self.now("nobody reads the output any more")
        # The SIGHUP that comes with the end of a terminal has its own rule, and who ignores it means to go on.
        elif error.errno not in TERMINAL_GONE:
            self.trouble = output_trouble(error)
            if not self.gently.is_set():
                self.ask(self.trouble)


async def serve(
    serving: Serving,
    show: Show,
    stop: Stop,
    schedule: Callable[[Scheduler], Awaitable[Sequence[Planned]]],
) -> None:
    """Run a scheduler until it is asked to stop, its time is over or all its jobs are.

    The first SIGTERM, SIGINT or SIGHUP lets no further run start and gives `grace` seconds to those that are running,
    the second SIGTERM or SIGINT, or a SIGQUIT, cancels them at once. Returns when every run has ended and cleaned up.

    Args:
        serving: the settings.
        show: is told everything.
        stop: the way for others to end it.
        schedule: puts the jobs into the scheduler and tells how to show them.
    """
    began = trio.current_time()
    opening = open_scheduler(
        tz=serving.tz, queues=serving.queues, registry=serving.registry, shutdown_grace=serving.grace
    )
    with trio.open_signal_receiver(*_signals()) as signals:
        async with trio.open_nursery() as helpers:
            helpers.start_soon(_heed, signals, stop)
            # Events are read until the scheduler has ended: what happens while it shuts down is shown too.
            async with AsyncExitStack() as late, trio.open_nursery() as watchers:
                with stop.at_once:
                    async with opening as scheduler:
                        happenings = await late.enter_async_context(scheduler.open_events(capacity=_EVENTS))
                        show.start(serving.title, await schedule(scheduler), scheduler.now())
                        watchers.start_soon(_watch, happenings, show)
                        helpers.start_soon(_until_over, scheduler, stop, serving.seconds)  # noqa: ASYNC111 - ends with it
                        await stop.gently.wait()
                        grace = 0.0 if stop.at_once.cancel_called else serving.grace
                        show.stopping(stop.reason, scheduler.statistics().runs_active, grace)
            helpers.cancel_scope.cancel()
    show.summary(trio.current_time() - began)


def _signals() -> list[signal.Signals]:
    """What ends it. Commands have sessions of their own: a signal that ended this process alone would leave them all.

    A SIGHUP or SIGQUIT that somebody has decided about (nohup ignores it, a module may reload at it) is left alone.
    """
    asking = [signal.SIGTERM, signal.SIGINT]
    for name in ("SIGHUP", "SIGQUIT"):
        number = getattr(signal, name, None)  # not on Windows
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            asking.append(number)
    return asking


async def _heed(signals: AsyncIterator[int], stop: Stop) -> None:
    async for number in signals:
        name = signal.Signals(number).name
        if name == "SIGQUIT":
            stop.now(name)
        # A terminal that is closed may send it twice, the kernel and then the shell: that is no second request.
        elif name != "SIGHUP" or not stop.gently.is_set():
            stop.ask(name)


async def _watch(happenings: trio.MemoryReceiveChannel[events.Event], show: Show) -> None:
    async for event in happenings:
        show.event(event)


async def _until_over(scheduler: Scheduler, stop: Stop, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await scheduler.wait_done()
        if not stop.gently.is_set():
            stop.ask("every job is over")
        return
    if not stop.gently.is_set():
        stop.ask(f"{seconds:g} s are over")


# --- crontabs -------------------------------------------------------------------------------------------------------


@final
@attrs.frozen(kw_only=True)
class Policies:
    """What all lines of a crontab share."""

    overlap: Overlap = Overlap.ALLOW
    misfire: Misfire = Misfire.SKIP
    timeout: float | None = None


async def schedule_crontab(
    commands: Sequence[tuple[Entry, Command]], policies: Policies, show: Show, scheduler: Scheduler
) -> list[Planned]:
    """One job a line, all in one batch."""
    specs = [
        JobSpec(
            entry.trigger, partial(run_command, command, partial(_say, show, entry.name)), name=entry.name,
            overlap=policies.overlap, misfire=policies.misfire, timeout=policies.timeout, meta={"line": entry.line},
        )
        for entry, command in commands
    ]  # fmt: skip
    jobs = await scheduler.schedule_many(specs)
    return [
        Planned(
            name=entry.name, schedule=entry.schedule, next_run=job.next_run, what=bare(entry.command), line=entry.line
        )
        for (entry, _), job in zip(commands, jobs, strict=True)
    ]


def _say(show: Show, job: str, stream: Stream, lines: list[str]) -> None:
    show.output(job, current_run().run_id, stream, lines)


def commands_of(entries: Sequence[Entry]) -> tuple[list[tuple[Entry, Command]], list[Problem]]:
    """Each entry with the process it means here and now: whose, where, in which environment."""
    commands, problems = [], []
    for entry in entries:
        try:
            commands.append((entry, _command(entry)))
        except LookupError as error:
            problems.append(
                Problem(line=entry.line, column=entry.user_column, field="user", message=str(error.args[0]))
            )
    return commands, problems


def _command(entry: Entry) -> Command:
    identity, own = _identity(entry.user)
    environment = {**own, "SHELL": "/bin/sh", **entry.environment}
    environment.pop("CRON_TZ", None)  # is for us; TZ is for the command
    for fixed in ("LOGNAME", "USER"):
        if fixed in own:
            environment[fixed] = own[fixed]
    home = environment.get("HOME", "")
    return Command(
        text=entry.command,
        shell=environment["SHELL"] or "/bin/sh",
        stdin=entry.stdin,
        environment=environment,
        directory=home if os.path.isdir(home) else None,
        identity=identity,
    )


def _identity(user: str | None) -> tuple[Identity | None, dict[str, str]]:
    """As whom, and the environment that comes with it.

    Raises:
        LookupError: there is no such user, or it is not for us to become that user.
    """
    import pwd

    if user is None:
        return None, dict(os.environ)
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        raise LookupError(f"there is no user {user!r} here; with --no-system a line has no such column") from None
    if entry.pw_uid == os.geteuid():
        return None, dict(os.environ)
    if os.geteuid() != 0:
        raise LookupError(f"only root can run a command as {user!r}: start this as root, or as {user!r}")
    groups = os.getgrouplist(user, entry.pw_gid)
    identity = Identity(uid=entry.pw_uid, gid=entry.pw_gid, groups=tuple(groups))
    # Nothing of root's environment is another user's business.
    return identity, {"HOME": entry.pw_dir, "LOGNAME": user, "USER": user, "PATH": SYSTEM_PATH}


# --- registries -----------------------------------------------------------------------------------------------------


async def show_registry(registry: Registry, scheduler: Scheduler) -> list[Planned]:
    """The declared jobs, which the scheduler has had from the start."""
    planned = []
    for entry in registry:
        job = await scheduler.get(entry.name) if entry.trigger is not None else None
        if job is not None:
            schedule = job.cron_expression or repr(entry.trigger)
            what = f"{getattr(entry.fn, '__module__', '')}.{getattr(entry.fn, '__qualname__', entry.name)}"
            planned.append(Planned(name=entry.name, schedule=schedule, next_run=job.next_run, what=what))
    return planned


# --- log ------------------------------------------------------------------------------------------------------------


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Show warnings and errors, unless the program that is run has set up logging itself.

    Left out is what is shown anyway: how a command ended, time-outs, and that a job has ended the program.
    """
    root = logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.WARNING)
    handler.addFilter(_is_news)
    if root.handlers:
        yield
        return
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    # The scheduler's own TimeoutError was never raised, so it has no traceback that would say more.
    return not isinstance(error, CommandFailedError | TimeoutError | SystemExit | KeyboardInterrupt) or (
        isinstance(error, TimeoutError) and error.__traceback__ is not None
    )


def local_zone() -> str:
    """The IANA name of this machine's time zone, UTC if it has none."""
    from ._crontab import zone_problem

    for name in (os.environ.get("TZ", "").removeprefix(":"), pendulum.now().timezone_name):
        if name and zone_problem(name) is None:
            return name
    return "UTC"
