"""The pytest plugin: fixtures `virtual_time` and `scheduler`. Works beside pytest-trio and beside anyio's plugin.

Pytest loads it when trioschedule is installed. What runs a test on another clock than its fixtures is refused: time
would really pass, and a test that sleeps for a year would.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from trio.abc import Instrument

    from .. import Scheduler
    from ._virtual import VirtualTime

__all__ = ["scheduler", "virtual_time"]

_MARKER = (
    "virtual_time(start='2030-01-01T00:00Z', zone='UTC', autojump=0): where the calendar of the fixture of this name "
    "starts, the zone of its now() and of the fixture scheduler, and for how many real seconds all tasks "
    "must sleep before the clock jumps"
)

# A test of hypothesis is run many times, each example by pytest-trio's own means and on a clock of its own.
_GIVEN: Final = (
    "virtual_time and scheduler are made once for a test, and hypothesis runs this one many times: let the test be a "
    "plain `def`, and run each example on a clock of its own: trio.run(main, clock=VirtualTime().clock)"
)
_NO_CLOCK: Final = """\
the test does not run on the clock of virtual_time: give that to the backend of anyio:
@pytest.fixture
def anyio_backend(virtual_time):
    return "trio", {"clock": virtual_time.clock}"""


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def virtual_time(request: pytest.FixtureRequest) -> VirtualTime:
    """A `VirtualTime` that the test runs on: days pass in milliseconds.

    Beside pytest-trio nothing else is needed. Beside anyio's plugin give its clock to the backend::

        @pytest.fixture
        def anyio_backend(virtual_time):
            return "trio", {"clock": virtual_time.clock}
    """
    from ._virtual import VirtualTime

    marker = request.node.get_closest_marker("virtual_time")
    args, kwargs = ((), {}) if marker is None else (marker.args, marker.kwargs)
    time = VirtualTime(*args, **kwargs)
    if request.node.get_closest_marker("trio") is not None:
        if hasattr(request.node.obj, "hypothesis"):
            pytest.fail(_GIVEN, pytrace=False)
        # The closest marker's runner is the one that pytest-trio takes.
        request.node.add_marker(pytest.mark.trio(run=partial(_run, time)), append=False)
    return time


@pytest.fixture
async def scheduler(virtual_time: VirtualTime) -> AsyncGenerator[Scheduler]:
    """A scheduler in memory on virtual time, in the zone of the marker; left when the test is over, its runs cancelled.

    Of what it did nothing is forgotten, however many days the test takes.
    """
    import trio

    from .. import Retention, open_scheduler

    if not trio.lowlevel.in_trio_task() or trio.lowlevel.current_clock() is not virtual_time.clock:
        pytest.fail(_NO_CLOCK, pytrace=False)
    history = Retention(age=1e10, count=10**9)
    async with open_scheduler(tz=virtual_time.zone, shutdown_grace=0, seed=0, retention=history) as opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse to run a test under anyio on another clock than that of its fixture."""
    funcargs = getattr(item, "funcargs", {})
    if "virtual_time" in funcargs and "anyio_backend" in funcargs:
        _, options = _backend(funcargs["anyio_backend"])
        if options.get("clock") is not funcargs["virtual_time"].clock:
            pytest.fail(_NO_CLOCK, pytrace=False)
    return (yield)


def _backend(given: Any) -> tuple[str, dict[str, Any]]:
    """What the fixture of anyio says: a name, or a name and options."""
    return (given, {}) if isinstance(given, str) else given


def _run(
    time: VirtualTime,
    main: Callable[[], Any],
    *,
    clock: object = None,
    instruments: list[Instrument] | tuple[Instrument, ...] = (),
) -> Any:
    """Run a test on virtual time; of a group around one exception show that one: a failed assertion is one line."""
    import trio

    __tracebackhide__ = True
    if clock not in (None, time.clock):
        pytest.fail("a test has one clock: use virtual_time or autojump_clock, not both")
    try:
        return trio.run(main, clock=time.clock, instruments=instruments)
    except BaseExceptionGroup as group:
        only = _only(group)
        if only is None:
            raise
        error = only
    # Raised outside of the except clause, so that the group is not shown as its context.
    raise error


def _only(group: BaseException) -> BaseException | None:
    """The one exception in a group of groups, None if there are more."""
    while isinstance(group, BaseExceptionGroup):
        if len(group.exceptions) != 1:
            return None
        group = group.exceptions[0]
    return group
