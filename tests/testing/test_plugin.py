"""The pytest plugin, as a user's test run loads it: beside pytest-trio, beside anyio, and alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCHEDULES = """
    import pytest, trio
    from trioschedule import Daily
    from trioschedule.testing import assert_ran, assert_scheduled, refute_scheduled

    @pytest.mark.virtual_time("2027-03-27T12:00", zone="Europe/Berlin")
    async def test_two_days(virtual_time, scheduler):
        job = await scheduler.schedule(Daily("02:30", tz="Europe/Berlin"), trio.sleep, 1)
        await virtual_time.sleep_until("2027-03-29T12:00")
        await assert_ran(job, times=2)
        assert trio.current_time() > 86_400
        assert scheduler.now() == virtual_time.now()

    async def test_without_a_marker(scheduler):
        assert scheduler.now().isoformat() == "2030-01-01T00:00:00+00:00"

    @pytest.mark.virtual_time("2027-03-27T12:00", zone="Europe/Berlin")
    async def test_the_zone_of_the_marker_is_that_of_the_scheduler(virtual_time, scheduler):
        # It was UTC for triggers without a zone, and for texts without an offset.
        job = await scheduler.schedule(Daily("03:30"), trio.sleep, 1)
        await assert_scheduled(scheduler, job.name, due="2027-03-28T03:30")
        await refute_scheduled(scheduler, job.name, due="2027-03-28T03:30Z")
        await virtual_time.sleep_until("2027-03-29T12:00")
        await assert_ran(job, due="2027-03-29T03:30", times=1)
        await assert_ran(job, due="2027-03-29T03:30+02:00", times=1)
        assert scheduler.now().timezone_name == "Europe/Berlin"
"""


@pytest.fixture
def run(pytester):
    def run(source: str, *, ini: str = "", options: tuple[str, ...] = ()) -> pytest.RunResult:
        pytester.makepyfile(source)
        pytester.makeini(f"[pytest]\n{ini}")
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    return run


def test_beside_pytest_trio(run):
    run(SCHEDULES, ini="trio_mode = true").assert_outcomes(passed=3)


def test_a_failed_assertion_is_shown_as_itself(run):
    result = run(
        """
        import trio

        async def test_wrong(virtual_time):
            assert virtual_time.now().year == 1999

        async def test_two_at_once(virtual_time):
            async def fail(number):
                raise ValueError(number)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail, 1)
                nursery.start_soon(fail, 2)

        async def test_two_clocks(virtual_time, autojump_clock):
            pass
        """,
        ini="trio_mode = true",
    )
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    first = text[text.index("_ test_wrong _") : text.index("_ test_two_at_once _")]
    assert "assert 2030 == 1999" in first
    assert "ExceptionGroup" not in first
    assert "ExceptionGroup" in text
    assert "a test has one clock" in text


def test_beside_anyio(run):
    backend = """
    @pytest.fixture
    def anyio_backend(virtual_time):
        return "trio", {"clock": virtual_time.clock}

    pytestmark = pytest.mark.anyio
    """
    run(SCHEDULES + backend, options=("-p", "no:trio")).assert_outcomes(passed=3)


def test_alone(run):
    result = run(
        """
        import trio

        def test_sync(virtual_time):
            trio.run(trio.sleep, 86_400, clock=virtual_time.clock)
            assert virtual_time.now().day == 2
        """,
        options=("-p", "no:trio", "-p", "no:hypothesispytest", "-p", "no:anyio"),
    )
    result.assert_outcomes(passed=1)


def test_its_marker_is_explained(run):
    run("", options=("--markers",)).stdout.fnmatch_lines(["@pytest.mark.virtual_time(start=*"])


def test_the_core_imports_neither_pytest_nor_hypothesis_and_the_kit_no_hypothesis():
    code = (
        "import sys, trioschedule; print({'pytest', 'hypothesis', 'trio.testing'} & set(sys.modules));"
        "import trioschedule.testing; print('hypothesis' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.split() == ["set()", "False"]


def test_a_test_of_hypothesis_is_told_to_make_its_own_clock(run):
    """pytest-trio runs each example on a real clock, whatever the fixtures say: an hour would really pass."""
    result = run(
        """
        import trio
        from hypothesis import HealthCheck, given, settings, strategies as st
        from trioschedule.testing import VirtualTime

        shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=2)

        @shared
        @given(hours=st.integers(1, 9))
        async def test_refused(virtual_time, hours):
            await trio.sleep(hours * 3600)

        @given(hours=st.integers(1, 9))
        def test_on_a_clock_of_its_own(hours):
            trio.run(trio.sleep, hours * 3600, clock=VirtualTime().clock)
        """,
        ini="trio_mode = true",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*let the test be a plain `def`*clock=VirtualTime().clock)*"])


def test_beside_anyio_a_backend_without_the_clock_is_refused(run):
    result = run(
        """
        import pytest

        pytestmark = pytest.mark.anyio

        async def test_time(virtual_time):
            await virtual_time.sleep_until("2031-01-01T00:00Z")

        async def test_scheduler(scheduler):
            assert scheduler.now().year == 2030
        """,
        options=("-p", "no:trio", "-rN"),
    )
    # Each on asyncio and on Trio's real clock.
    result.assert_outcomes(failed=2, errors=2)
    text = result.stdout.str()
    assert text.count('return "trio", {"clock": virtual_time.clock}') == 4
    assert "bad yield" not in text


def test_what_fails_in_a_test_with_a_scheduler_is_shown_as_itself(run):
    result = run(
        """
        import pytest, trio
        from trioschedule import After, Every

        async def fail():
            assert 1 == 2, "in the job"

        async def test_beside_a_job(scheduler):
            await scheduler.schedule(Every(hours=1), trio.sleep, 1)
            assert 1 == 2, "in the test"

        async def test_escalated(scheduler):
            await scheduler.schedule(After(seconds=1), fail, escalate=True)
            await trio.sleep(5)

        async def test_skipped(scheduler):
            pytest.skip("not today")
        """,
        ini="trio_mode = true",
    )
    result.assert_outcomes(failed=2, skipped=1)
    assert "ExceptionGroup" not in result.stdout.str()


def test_the_kit_does_without_the_plugin_and_without_pytest():
    code = (
        "import sys; sys.modules['pytest'] = sys.modules['hypothesis'] = None;"
        "import trio; from trioschedule import Every; from trioschedule.testing import VirtualTime, perform, simulate;"
        "print(trio.run(perform, sum, (1, 2), clock=VirtualTime().clock),"
        " len(simulate(Every(hours=1), '2030-01-01T00:00Z', '2030-01-02T00:00Z')))"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.split() == ["3", "23"]
