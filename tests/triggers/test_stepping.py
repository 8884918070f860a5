"""A trigger of both kinds, and a wall clock that is set: no slot is lost, and none is named twice."""

from __future__ import annotations

from hypothesis import given, strategies as st

from trioschedule.triggers import After, Cron, Daily, Every, Hours, bind, next_us, stepped

US = 1_000_000
HOUR = 3600 * US
NOON = 1_899_979_200 * US  # 2030-03-17T12:00 in UTC

elapsed = st.one_of(
    st.builds(Every, minutes=st.integers(1, 200)),
    st.builds(After, minutes=st.integers(0, 600)),
    st.builds(lambda a, b: Every(minutes=a) | Every(minutes=b), st.integers(20, 90), st.integers(20, 90)),
)
calendar = st.sampled_from(
    [Daily("11:30", "13:00"), Cron("*/20 * * * *"), Every(minutes=45, start="2030-01-01T00:00Z")]
)


def slots(trigger, after, until):
    found = []
    while (after := next_us(trigger, after)) is not None and after <= until:
        found.append(after)
    return found


@given(elapsed, calendar, st.integers(0, 300), st.integers(-400, 400).filter(bool))
def test_every_slot_that_was_not_decided_comes_once(moving, still, minutes, delta):
    moving, still = bind(moving, NOON, "UTC"), bind(still, NOON, "UTC")
    now, delta = NOON + minutes * 60 * US, delta * 60 * US
    due = next_us(moving | still, now)
    changed, after = stepped(moving | still, delta, due)
    until = due + 12 * HOUR
    expected = {slot + delta for slot in slots(moving, due - 1, until)} | set(slots(still, due - 1, until))
    assert slots(changed, after, until - abs(delta)) == sorted(slot for slot in expected if slot <= until - abs(delta))


@given(elapsed, calendar, st.lists(st.integers(-90, 90).filter(bool), min_size=2, max_size=6))
def test_steps_follow_one_another(moving, still, deltas):
    """As many steps as you like: the trigger does not grow, and the rhythm stays that of the first one."""
    moving, still = bind(moving, NOON, "UTC"), bind(still, NOON, "UTC")
    trigger, shift, served = moving | still, 0, next_us(moving | still, NOON)
    for minutes in deltas:
        delta = minutes * 60 * US
        changed, after = stepped(trigger, delta, served)
        shift += delta
        trigger = changed
        upcoming = next_us(trigger, after)
        assert upcoming - shift in slots(moving, NOON - 1, NOON + 48 * HOUR) or upcoming in slots(
            still, NOON - 1, NOON + 48 * HOUR
        )
        served = upcoming
    assert len(repr(trigger)) < len(repr(moving | still)) + 200


def test_a_trigger_of_one_kind_is_moved_or_left():
    every, daily = bind(Every(hours=1), NOON, "UTC"), Daily("12:00", tz="UTC")
    assert stepped(daily, HOUR, NOON + 24 * HOUR) == (daily, NOON + 24 * HOUR - 1)
    assert stepped(every, HOUR, NOON + HOUR) == (bind(Every(hours=1), NOON + HOUR, "UTC"), NOON + 2 * HOUR - 1)


def test_what_has_nothing_left_ends():
    once = bind(After(minutes=5), NOON, "UTC") & bind(Every(minutes=5, start="2030-01-01T00:00Z"), NOON, "UTC")
    assert stepped(once, HOUR, NOON + HOUR) == (None, NOON + HOUR - 1)


@given(st.integers(1, 90), st.integers(0, 300), st.integers(-400, 400).filter(bool))
def test_within_hours_and_out_of_hours_the_rhythm_is_kept(every, minutes, delta):
    opening = Hours("09:00", "17:00", tz="UTC")
    for trigger in (Every(minutes=every) & opening, Every(minutes=every) - opening):
        bound = bind(trigger, NOON, "UTC")
        due = next_us(bound, NOON + minutes * 60 * US)
        changed, after = stepped(bound, delta * 60 * US, due)
        found = next_us(changed, after)
        first = due + delta * 60 * US
        assert found >= first
        assert (found - first) % (every * 60 * US) == 0


HALF_HOURS = bind(Every(minutes=30), NOON, "UTC")
THIRDS = bind(Every(minutes=20), NOON, "UTC")
DAY_AND_HOUR = Daily("14:10", tz="UTC")


@given(
    st.sampled_from([
        (HALF_HOURS - THIRDS) | DAY_AND_HOUR,
        HALF_HOURS.between(None, "2030-03-18T12:00Z") | DAY_AND_HOUR,
        (HALF_HOURS & THIRDS) | DAY_AND_HOUR,
        (HALF_HOURS | DAY_AND_HOUR).between("2030-03-17T12:00Z", "2030-03-19T12:00Z"),
        (HALF_HOURS | DAY_AND_HOUR) - THIRDS,
        (HALF_HOURS | DAY_AND_HOUR) & Hours("09:00", "21:00", tz="UTC"),
        HALF_HOURS | DAY_AND_HOUR.between("2030-03-17T12:00Z", "2030-03-19T12:00Z"),
    ]),
    st.integers(0, 200),
    st.lists(st.integers(-120, 120).filter(bool), min_size=1, max_size=4),
)  # fmt: skip
def test_nested_triggers_never_name_what_is_decided(trigger, minutes, deltas):
    """Whatever it is made of: on the new time nothing comes before what comes next, and calendar slots come once."""
    due = next_us(trigger, NOON + minutes * 60 * US)
    decided = set(slots(DAY_AND_HOUR, NOON, due - 1))
    rhythm, shift = slots(HALF_HOURS, NOON, NOON + 48 * HOUR), 0
    for step in deltas:
        delta = step * 60 * US
        shift += delta
        changed, after = stepped(trigger, delta, due)
        if changed is None:
            return
        upcoming = slots(changed, after, after + 4 * HOUR)
        assert all(slot >= min(due, due + delta) for slot in upcoming)
        # The rhythm may come to an instant that a calendar slot had: on the new time it is a slot of its own.
        assert not (decided & set(upcoming)) - {slot + shift for slot in rhythm}
        if not upcoming:
            return
        trigger, due = changed, upcoming[0]
        decided |= set(slots(DAY_AND_HOUR, NOON, due - 1))


def test_an_excluded_after_that_has_come_leaves_nothing():
    once = bind(After(minutes=5) - Every(minutes=7), NOON, "UTC") | Daily("14:10", tz="UTC")
    changed, after = stepped(once, HOUR, NOON + 2 * HOUR + 10 * 60 * US)
    assert changed == Daily("14:10", tz="UTC")
    assert next_us(changed, after) == NOON + 2 * HOUR + 10 * 60 * US
