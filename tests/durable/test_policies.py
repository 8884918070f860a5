"""Options and triggers as text: round trips by value and by name, and hostile text."""

from __future__ import annotations

import datetime as dt
import json

import attrs
import pytest
from hypothesis import assume, given, settings, strategies as st

from trioschedule import (
    Daily,
    Every,
    Misfire,
    NotRegisteredError,
    Overlap,
    Registry,
    Retry,
    Unique,
    exponential,
)
from trioschedule._policies import options_from_json, options_to_json, trigger_from_json, trigger_to_json
from trioschedule._spec import CHECKS, DEFAULTS, checked_options
from trioschedule.testing.strategies import job_options, triggers

registry = Registry()


@registry.register("only-weekdays")
def only_weekdays(job):
    return True


@registry.register("tell")
async def tell(context): ...


@registry.register("slowly")
def slowly(attempt):
    return 5.0


@registry.register("flaky")
class FlakyError(Exception): ...


@attrs.frozen
class OpenHours:
    first: int

    def next_after(self, moment):
        return None


open_hours = registry.register("open-hours")(OpenHours(8))


def there_and_back(**given):
    options = checked_options(given)
    text = options_to_json(options, registry)
    back = options_from_json(text, registry)
    assert back == options
    assert back.meta == options.meta
    assert hash(back) == hash(options)
    return json.loads(text)


def test_only_what_is_not_the_default_is_written():
    assert options_to_json(DEFAULTS, registry) == "{}"
    assert options_from_json("{}", registry) is DEFAULTS
    assert there_and_back(priority=0, queue="default", retry=None, overlap="skip") == {}
    assert there_and_back(retry=Retry()) == {"retry": {}}
    assert there_and_back(unique=Unique()) == {"unique": {}}


def test_what_it_looks_like():
    assert there_and_back(
        group="g",
        tags={"b", "a"},
        meta={"n": [1, None], "d": {"x": 1.5}},
        queue="mail",
        priority=3,
        timeout=60,
        retry=Retry(attempts=5, backoff=slowly, on=(FlakyError, OSError), give_up_on=ValueError),
        overlap=Overlap.QUEUE,
        max_queued=4,
        misfire=Misfire.ALL,
        misfire_grace=0,
        where=only_weekdays,
        run_in="thread",
        on_error=tell,
        escalate=True,
        on_interrupted="fail",
        unique=Unique(by=("function", "queue"), period=60),
    ) == {
        "group": "g",
        "tags": ["a", "b"],
        "meta": {"n": [1, None], "d": {"x": 1.5}},
        "queue": "mail",
        "priority": 3,
        "timeout": 60.0,
        "retry": {
            "attempts": 5,
            "backoff": {"name": "slowly"},
            "on": ["flaky", "builtins.OSError"],
            "give_up_on": ["builtins.ValueError"],
        },
        "overlap": "queue",
        "max_queued": 4,
        "misfire": "all",
        "misfire_grace": 0.0,
        "where": "only-weekdays",
        "run_in": "thread",
        "on_error": "tell",
        "escalate": True,
        "on_interrupted": "fail",
        "unique": {"by": ["function", "queue"], "period": 60},
    }
    assert there_and_back(retry=Retry(backoff=exponential(base=2)), unique="k") == {
        "retry": {"backoff": {"base": 2.0, "factor": 2.0, "cap": 3600.0, "jitter": 0.1}},
        "unique": {"key": "k"},
    }


@given(job_options())
def test_options_come_back(given):
    own = {name: value for name, value in given.items() if name in CHECKS}
    assume(all(type(value) is not int or abs(value) < 2**63 for value in own.get("meta", {}).values()))
    there_and_back(**own)


def test_users_own_without_a_name_are_refused_with_a_cure():
    for own in (
        {"where": lambda job: True},
        {"on_error": print},
        {"retry": Retry(backoff=lambda attempt: 1)},
        {"retry": Retry(on=type("Own", (Exception,), {}))},
    ):
        with pytest.raises(NotRegisteredError, match=r"must be registered to be stored: .*@?registry\.register"):
            options_to_json(checked_options(own), registry)


@pytest.mark.parametrize(
    ("meta", "error", "message"),
    [
        (
            {"a": (1,)},
            TypeError,
            r"^meta\['a'\] must come back from JSON as it is, but \(1,\) would be \[1\]: give text",
        ),
        ({"a": dt.date(2027, 1, 1)}, TypeError, r"^meta\['a'\] must come back"),
        ({"a": dt.datetime(2027, 1, 1, tzinfo=dt.UTC)}, TypeError, r"^meta\['a'\] must come back"),
        ({"a": [1, float("nan")]}, ValueError, r"^meta\.a\[1\] must be a finite number"),
        ({"a": "\0"}, ValueError, r"^meta\.a must be text without NUL"),
        ({"a": 2**64}, ValueError, r"^meta\.a must be an int of at most 64 bits"),
        ({"a": {"b": print}}, TypeError, r"^meta\.a\.b must be what JSON can carry"),
        ({"a": "x" * 70_000}, ValueError, "the options of a job must be at most 65536 bytes of JSON, not 70017"),
    ],
)
def test_meta_that_json_cannot_carry(meta, error, message):
    with pytest.raises(error, match=message):
        options_to_json(checked_options({"meta": meta}), registry)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "options: it must be a JSON object"),
        ({"nope": 1}, "options.nope must not be there: it is no option"),
        ({"name": "x"}, "options.name must not be there"),
        ({"z": {}}, r"options: it must be a JSON object: .*z must not be there"),
        ({"priority": 10}, "options: ValueError: priority must be from 0 to 9, not 10"),
        ({"priority": "1"}, "options: TypeError: priority must be a whole number"),
        ({"priority": 10**4000}, "options: .*priority must be"),
        ({"timeout": 10**400}, "options: .*"),
        ({"timeout": -1}, "options: .*timeout must be"),
        ({"overlap": "never"}, "options: .*overlap must be one of"),
        ({"overlap": []}, "options: .*overlap must be one of"),
        ({"tags": "abc"}, "options.tags: .*must be a list of at most 1000 texts"),
        ({"tags": [1]}, "options.tags: .*must be a list"),
        ({"tags": ["x"] * 1001}, "options.tags: .*must be a list"),
        ({"meta": [1]}, "options.meta: .*must be an object"),
        ({"meta": {"": 1}}, "options: .*a key of meta"),
        ({"escalate": 1}, "options: .*escalate must be True or False"),
        ({"queue": "\0"}, "options: .*queue must be"),
        ({"where": 5}, "options.where: .*must be a registered name, not 5"),
        ({"where": "nobody"}, "options.where: NotRegisteredError: 'nobody' must be the name of something registered"),
        ({"where": "tell"}, "options: .*where must be a plain function"),
        ({"where": "os.system"}, "options.where: NotRegisteredError"),
        ({"on_error": "open-hours"}, "options: .*on_error must be callable"),
        ({"retry": 5}, "options.retry: .*must be an object, not 5"),
        ({"retry": {"x": 1}}, "options.retry: .*'x' must not be there; it has attempts, backoff, on, give_up_on"),
        ({"retry": {"attempts": 0}}, r"options.retry: .*Retry\(attempts\) must be at least 1"),
        ({"retry": {"on": ["slowly"]}}, r"options.retry: .*Retry\(on\) takes exception classes"),
        ({"retry": {"on": "builtins.OSError"}}, "options.retry: .*must be a list"),
        ({"retry": {"on": ["builtins.eval"]}}, "options.retry: NotRegisteredError"),
        ({"retry": {"on": ["builtins.SystemExit"]}}, "options.retry: NotRegisteredError"),
        ({"retry": {"backoff": {"base": "x"}}}, "options.retry: .*base must be a number"),
        ({"retry": {"backoff": {"nope": 1}}}, "options.retry: .*'nope' must not be there"),
        ({"retry": {"backoff": {"name": "open-hours"}}}, "options.retry: .*backoff must be callable"),
        ({"retry": {"backoff": {"name": "slowly", "base": 1}}}, "options.retry: .*'base' must not be there"),
        ({"unique": "key"}, "options.unique: .*must be an object"),
        ({"unique": {"by": ["x"]}}, r"options.unique: .*Unique\(by\) takes"),
        ({"unique": {"by": "function"}}, "options.unique: .*must be a list"),
        ({"unique": {"period": 0}}, r"options.unique: .*Unique\(period\) must be"),
        ({"unique": {"y": 0, "x": 0}}, "options.unique: .*'x' must not be there"),
    ],
)
def test_broken_options_are_refused_with_their_path(data, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        options_from_json(json.dumps(data), registry)
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "text", ["", "{", "nul", "[" * 60_000, '{"meta":' + '{"a":' * 100 + "1" + "}" * 101, "x" * 70_000, 5, None]
)
def test_text_that_is_no_json(text):
    with pytest.raises(ValueError, match=r"^options"):
        options_from_json(text, registry)
    with pytest.raises(ValueError, match=r"^trigger"):
        trigger_from_json(text, registry)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from([*CHECKS, "x"]), anything, max_size=3).map(json.dumps)
    | st.dictionaries(
        st.sampled_from(["retry", "unique"]),
        st.dictionaries(st.sampled_from(["attempts", "on", "backoff", "by", "key"]), anything),
    ).map(json.dumps)
    | anything.map(json.dumps)
    | st.text()
)
def test_hostile_text_raises_nothing_but_value_errors(text):
    for read, write in ((options_from_json, options_to_json), (trigger_from_json, trigger_to_json)):
        try:
            back = read(text, registry)
        except ValueError as error:
            assert len(str(error)) < 1000  # noqa: PT017
            continue
        try:
            assert read(write(back, registry), registry) == back
        except ValueError as error:  # NUL and great numbers in `meta` can be read
            assert "NUL" in str(error) or "64 bits" in str(error)  # noqa: PT017


# --- triggers -----------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(triggers())
def test_triggers_come_back(trigger):
    back = trigger_from_json(trigger_to_json(trigger, registry), registry)
    assert back == trigger
    assert repr(back) == repr(trigger)


@settings(max_examples=50)
@given(triggers())
def test_registered_triggers_come_back_anywhere_in_the_algebra(trigger):
    for made in (open_hours, *(combined(trigger) if hasattr(trigger, "between") else ())):
        back = trigger_from_json(trigger_to_json(made, registry), registry)
        assert back == made


def combined(trigger):
    for combine in (
        lambda: trigger | open_hours,
        lambda: open_hours & trigger,
        lambda: trigger - open_hours,
        lambda: (open_hours | trigger).between("2027-01-01T00:00Z", None),
    ):
        try:
            yield combine()
        except (TypeError, ValueError):  # Delay and Manual take no part in it
            continue


def test_what_registered_triggers_look_like():
    assert trigger_to_json(open_hours, registry) == '{"type":"registered","v":1,"name":"open-hours"}'
    assert trigger_from_json('{"type":"registered","v":1,"name":"open-hours"}', registry) is open_hours
    assert json.loads(trigger_to_json(Every("5m") - OpenHours(8), registry))["without"] == {
        "type": "registered",
        "v": 1,
        "name": "open-hours",
    }


def test_a_trigger_without_a_name_is_refused_with_a_cure():
    with pytest.raises(NotRegisteredError, match=r"OpenHours\(first=9\) must be registered to be stored: register the"):
        trigger_to_json(Daily("07:00") | OpenHours(9), registry)


def test_a_trigger_is_not_written_that_could_not_be_read():
    days = [dt.date(2000, 1, 1) + dt.timedelta(days=n) for n in range(10_000)]
    trigger = Daily("07:00") - days
    assert trigger_from_json(trigger_to_json(trigger, registry), registry) == trigger
    for hour in range(9):
        trigger = trigger | (Daily(f"{hour:02}:00") - days)
    with pytest.raises(ValueError, match="trigger must be at most 1048576 bytes of JSON"):
        trigger_to_json(trigger, registry)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "trigger: it must be a JSON object"),
        ({"type": "evil", "v": 1}, "trigger.type must be one of"),
        ({"type": "registered", "v": 2, "name": "open-hours"}, "trigger.v must be 1, not 2"),
        ({"type": "registered", "v": 1}, "trigger.name must be text, not None"),
        ({"type": "registered", "v": 1, "name": 5}, "trigger.name must be text, not 5"),
        ({"type": "registered", "v": 1, "name": "x" * 300}, "trigger.name must be at most 256 characters"),
        ({"type": "registered", "v": 1, "name": "open-hours", "x": 1}, "trigger must have a name and no other fields"),
        (
            {"type": "registered", "v": 1, "name": "nobody"},
            "trigger.name must be that of a registered trigger: 'nobody'",
        ),
        ({"type": "registered", "v": 1, "name": "tell"}, "trigger.name must be that of a trigger; 'tell' is another"),
        ({"type": "registered", "v": 1, "name": "builtins.OSError"}, "trigger.name must be that of a trigger"),
        (
            {"type": "union", "v": 1, "triggers": [{"type": "registered", "v": 1, "name": "nobody"}]},
            r"trigger.triggers\[0\].name must be that of a registered trigger",
        ),
    ],
)
def test_broken_triggers_are_refused_with_their_path(data, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        trigger_from_json(json.dumps(data), registry)
