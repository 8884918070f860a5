"""Arguments and results as typed JSON: what is kept, what is refused, and that nothing read can do harm."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import inspect
import json
import math
import typing
import uuid
import zoneinfo
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pendulum
import pytest
from hypothesis import given, settings, strategies as st

from trioschedule import Abort, JSONCodec, Registry, Snooze
from trioschedule.testing.strategies import instants, time_zones

codec = JSONCodec()
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
FOLD = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Item:
    name: str
    when: dt.datetime
    parts: list[Item] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class BigItem(Item):
    size: int = 0


@attrs.frozen
class Order:
    number: int
    items: tuple[Item, ...] = ()
    due: pendulum.DateTime | None = None


@dataclasses.dataclass(eq=False)
class Plain:
    x: int
    y: Any = None


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Settings(TypedDict, total=False):
    size: int
    name: str


class Packed(msgspec.Struct, forbid_unknown_fields=True):
    x: int


def taking(kind: Any) -> Any:
    """A function with one parameter of this type."""

    def take(value): ...

    take.__annotations__ = {"value": kind, "return": kind}
    return take


def there_and_back(kind: Any, value: Any) -> Any:
    fn = taking(kind)
    text, args, kwargs = codec.encode_call(fn, (value,), {})
    assert repr(codec.decode_call(fn, text)) == repr((args, kwargs))
    by_name, args_of_it, kwargs_of_it = codec.encode_call(fn, (), {"value": value})
    assert args_of_it == ()
    assert list(kwargs_of_it) == ["value"]
    assert codec.decode_call(fn, by_name)[1].keys() == {"value"}
    if value is not None:
        result = codec.decode_result(fn, codec.encode_result(fn, value))
        assert type(result) is type(args[0])
    return args[0]


numbers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
naive = st.datetimes(min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 1, 1))
items = st.builds(Item, texts, naive, st.lists(st.builds(Item, texts, naive), max_size=2))
VALUES = [
    (int, numbers),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, texts),
    (bool, st.booleans()),
    (None, st.none()),
    (bytes, st.binary()),
    (list[int], st.lists(numbers)),
    (dict[str, float], st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False))),
    (dict[int, str], st.dictionaries(numbers, texts)),
    (dict[uuid.UUID, dt.date], st.dictionaries(st.uuids(), st.dates())),
    (dict[float, int], st.dictionaries(st.floats(allow_nan=False, allow_infinity=False), numbers)),
    (tuple[int, str], st.tuples(numbers, texts)),
    (tuple[str, ...], st.lists(texts).map(tuple)),
    (set[int], st.sets(numbers)),
    (frozenset[uuid.UUID], st.frozensets(st.uuids())),
    (Literal["a", "b"], st.sampled_from("ab")),
    (int | None, numbers | st.none()),
    (int | str | list[float], numbers | texts),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (uuid.UUID, st.uuids()),
    (Decimal, st.decimals()),
    (dt.date, st.dates()),
    (dt.time, st.times()),
    (dt.timedelta, st.timedeltas()),
    (dt.datetime, naive),
    (dt.datetime, st.builds(lambda when, tz: when.replace(tzinfo=tz), naive, offsets)),
    (Item, items),
    (Order, st.builds(Order, numbers, st.lists(items, max_size=2).map(tuple))),
    (Point, st.builds(Point, numbers, st.floats(allow_nan=False, allow_infinity=False))),
    (Settings, st.fixed_dictionaries({}, optional={"size": numbers, "name": texts})),
    (Packed, st.builds(Packed, numbers)),
    (Annotated[int, msgspec.Meta(ge=0)], st.integers(0, 9)),
    (Any, st.recursive(st.none() | numbers | texts, lambda one: st.lists(one) | st.dictionaries(texts, one))),
    (pendulum.Date, st.dates().map(lambda day: pendulum.Date(day.year, day.month, day.day))),
    (pendulum.Time, st.times().map(lambda at: pendulum.Time(at.hour, at.minute, at.second, at.microsecond))),
    (
        pendulum.Duration,
        st.builds(
            pendulum.Duration,
            years=st.integers(-3, 3),
            months=st.integers(-3, 3),
            days=st.integers(-99, 99),
            microseconds=st.integers(-(10**15), 10**15),
        ),
    ),
]


@settings(max_examples=200)
@given(st.data())
def test_what_is_given_comes_back(data):
    kind, values = data.draw(st.sampled_from(VALUES))
    value = data.draw(values)
    back = there_and_back(kind, value)
    if isinstance(value, Decimal) and value.is_nan():
        assert str(back) == str(value)
        return
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, dt.datetime):
        assert back.utcoffset() == value.utcoffset()
    if isinstance(value, pendulum.Duration):
        assert (back.years, back.months) == (value.years, value.months)
        assert value + pendulum.DateTime(2024, 1, 31) == back + pendulum.DateTime(2024, 1, 31)


@given(instants(), time_zones(), st.sampled_from([dt.datetime, pendulum.DateTime]))
def test_a_datetime_keeps_its_zone_and_pass_at_any_depth(when, tz, kind):
    value = dt.datetime.fromtimestamp(when.timestamp(), zoneinfo.ZoneInfo(tz))
    if kind is pendulum.DateTime:
        value = pendulum.instance(value)

    def same(back):
        assert back.tzinfo.key == tz
        assert isinstance(back, kind)
        assert (back.replace(tzinfo=None), back.fold) == (value.replace(tzinfo=None), value.fold)
        assert back.utcoffset() == value.utcoffset()

    same(there_and_back(kind, value))
    same(there_and_back(dict[str, list[kind]], {"a/b~c": [value]})["a/b~c"][0])
    same(there_and_back(tuple[int, kind | None], (1, value))[1])
    if kind is dt.datetime:
        same(there_and_back(Order, Order(1, (Item("x", FOLD, [Item("y", value)]),))).items[0].parts[0].when)
    else:
        same(there_and_back(Order, Order(1, (), value)).due)


def test_a_pendulum_datetime_fits_where_a_datetime_is_meant_and_the_other_way_round():
    moment = pendulum.instance(FOLD)
    back = there_and_back(dt.datetime, moment)
    assert type(back) is dt.datetime
    assert (back.utcoffset(), back.tzinfo.key) == (dt.timedelta(hours=1), "Europe/Berlin")
    back = there_and_back(pendulum.DateTime, FOLD)
    assert type(back) is pendulum.DateTime
    assert (back.utcoffset(), back.timezone_name) == (dt.timedelta(hours=1), "Europe/Berlin")
    assert there_and_back(pendulum.DateTime, pendulum.datetime(2027, 1, 1)).timezone_name == "UTC"
    assert there_and_back(pendulum.DateTime, pendulum.naive(2027, 1, 1)).tzinfo is None
    fixed = pendulum.parse("2027-01-01T00:00:00+05:30")
    assert there_and_back(pendulum.DateTime, fixed).utcoffset() == dt.timedelta(hours=5, minutes=30)


def test_wall_time_that_the_zone_skips_is_the_same_instant():
    back = there_and_back(dt.datetime, dt.datetime(2027, 3, 28, 2, 30, tzinfo=BERLIN))
    assert back.astimezone(dt.UTC) == dt.datetime(2027, 3, 28, 1, 30, tzinfo=dt.UTC)
    assert back.tzinfo is BERLIN


def test_offsets_of_old_times_are_exact():
    old = dt.datetime(1800, 1, 1, tzinfo=BERLIN)  # +00:53:28
    assert there_and_back(dt.datetime, old) == old


# --- calls ------------------------------------------------------------------------------------------------------


async def send_digest(user_id: int, when: dt.datetime, *more: int, full: bool = False, **labels: str) -> int:
    return 0


def test_what_it_looks_like():
    when = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert codec.encode_call(send_digest, (42, when), {})[0] == '{"a":[42,"2027-01-01T00:00:00Z"]}'
    text, args, kwargs = codec.encode_call(send_digest, (42, FOLD, 7, 8), {"full": True, "eu": "x"})
    assert text == (
        '{"a":[42,"2026-10-25T02:30:00+01:00",7,8],"k":{"full":true,"eu":"x"},"z":{"/a/1":"Europe/Berlin"}}'
    )
    assert args == (42, FOLD, 7, 8)
    assert kwargs == {"full": True, "eu": "x"}
    assert codec.decode_call(send_digest, text) == (args, kwargs)
    assert codec.encode_call(taking(int), (), {"value": 1})[0] == '{"k":{"value":1}}'

    def nothing(): ...

    assert codec.encode_call(nothing, (), {}) == ("{}", (), {})
    assert codec.decode_call(nothing, "{}") == ((), {})
    assert codec.encode_result(send_digest, 5) == '{"r":5}'


def test_the_split_into_positional_and_keyword_arguments_is_kept():
    def fn(a: int, /, b: int, *rest: tuple[int, ...], c: int = 0, **others: Decimal): ...

    for args, kwargs in [
        ((1, 2), {}),
        ((1,), {"b": 2}),
        ((1, 2, (3,), ()), {"c": 4}),
        ((1,), {"a": Decimal(1), "z": Decimal(3), "b": 2}),
    ]:
        text, back, named = codec.encode_call(fn, args, kwargs)
        assert (back, named) == (args, kwargs) == codec.decode_call(fn, text)
        assert list(named) == list(kwargs)


class Mailer:
    def __init__(self, address: Decimal = Decimal(0)) -> None: ...

    def send(self, to: uuid.UUID, at: dt.date) -> set[int]: ...

    async def __call__(self, to: uuid.UUID) -> set[int]: ...


def test_methods_objects_classes_and_builtins_have_signatures_too():
    to = uuid.uuid4()
    mailer = Mailer()
    assert codec.encode_call(mailer.send, (to, dt.date(2027, 1, 1)), {})[1] == (to, dt.date(2027, 1, 1))
    assert codec.encode_call(mailer.send, (to,), {"at": dt.date(2027, 1, 1)})[2] == {"at": dt.date(2027, 1, 1)}
    assert codec.encode_call(mailer, (to,), {})[1] == (to,)
    assert codec.encode_call(Mailer, (Decimal(1),), {})[1] == (Decimal(1),)
    assert codec.decode_result(mailer.send, codec.encode_result(mailer.send, {1, 2})) == {1, 2}
    assert codec.encode_call(print, ("a",), {"sep": ""})[1:] == (("a",), {"sep": ""})
    assert codec.encode_call(max, (1, 2), {})[1] == (1, 2)


def test_wrapped_functions_have_the_signature_of_what_they_wrap():
    @functools.wraps(send_digest)
    async def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    assert codec.encode_call(wrapper, (42, FOLD), {})[1][1].tzinfo is BERLIN


def test_annotations_that_cannot_be_resolved_say_nothing_but_the_others_do():
    def fn(a, b, c): ...

    fn.__annotations__ = {"a": "NoSuchName", "b": "dt.date", "c": "1 / 0"}
    text, args, _ = codec.encode_call(fn, (1, dt.date(2027, 1, 1), "x"), {})
    assert args == (1, dt.date(2027, 1, 1), "x") == codec.decode_call(fn, text)[0]


def test_parameters_of_any_kind_of_any():
    P = typing.ParamSpec("P")
    T = typing.TypeVar("T")

    def fn(a: object, b: T, *args: P.args, **kwargs: P.kwargs): ...

    assert codec.encode_call(fn, (1, "x", [2]), {"c": None})[1:] == ((1, "x", [2]), {"c": None})


def test_subclasses_of_plain_values_come_back_plain():
    class Text(str):
        def __str__(self):
            return "other"

    class Whole(int): ...

    class Real(float): ...

    class Moment(dt.datetime): ...

    for kind, value in [(str, Text("a")), (int, Whole(1)), (float, Real(1.5)), (dt.datetime, Moment(2027, 1, 1))]:
        back = there_and_back(kind, value)
        assert type(back) is kind
        assert back == value


def test_lists_and_tuples_may_stand_for_each_other_where_the_annotation_says_which():
    assert there_and_back(tuple[int, ...], [1, 2]) == (1, 2)
    assert there_and_back(typing.Sequence[int], (1, 2)) == [1, 2]
    assert there_and_back(set[int], frozenset({1})) == {1}
    assert there_and_back(typing.Mapping[str, int], collections.OrderedDict(a=1)) == {"a": 1}


def test_objects_without_equality_are_compared_by_their_fields():
    back = there_and_back(Plain, Plain(1, [2]))
    assert (back.x, back.y) == (1, [2])


# --- refusals -----------------------------------------------------------------------------------------------------


class Derived(str): ...


@attrs.frozen
class Secret:
    _code: int = 0


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)

REFUSED = [
    (Any, (1, 2), TypeError, (r"take(value) must come back from JSON as it is, but (1, 2) would be [1, 2]: "
     "annotate value with its type, such as tuple[int, ...]")),
    (inspect.Parameter.empty, {1}, TypeError, "annotate value with its type, such as set[int]"),
    (Any, dt.datetime(2027, 1, 1), TypeError, ("would be '2027-01-01T00:00:00': annotate value with its type, such as "
     "datetime")),
    (Any, FOLD, TypeError, "annotate value with its type, such as datetime"),
    (Any, uuid.UUID(int=1), TypeError, "annotate value with its type, such as UUID"),
    (Any, Decimal(1), TypeError, "annotate value"),
    (Any, b"x", TypeError, "annotate value"),
    (Any, {1: 2}, TypeError, "annotate value"),
    (Any, [(1,)], TypeError, "annotate value"),
    (dict[str, Any], {"a": (1,)}, TypeError, "say all of its type, which is dict[str, Any] so far"),
    (dict, {1: 2}, TypeError, "say all of its type, which is dict so far"),
    (Plain, Plain(1, (2,)), TypeError, "say all of its type, which is Plain so far"),
    (dict[int | str, int], {1: 2}, TypeError, "say all of its type"),
    (int, "x", TypeError, ("take(value) must be int, and 'x' is not: Expected `int`, got `str`; give what its "
     "annotation says, int")),
    (int, True, TypeError, "Expected `int`, got `bool`"),
    (int, None, TypeError, "Expected `int`, got `null`"),
    (list[int], [1, "x"], TypeError, "take(value[1]) must be list[int], and [1, 'x'] is not: Expected `int`"),
    (Item, Item("x", FOLD, [Item(5, FOLD)]), TypeError, "take(value.parts[0].name) must be Item"),
    (Annotated[int, msgspec.Meta(ge=0)], -1, TypeError, "Expected `int` >= 0"),
    (dict[int, int], {"x": 1}, TypeError, "a key: Expected `int`, got `str`"),
    (str, uuid.UUID(int=1), TypeError, "give what its annotation says, str"),
    (uuid.UUID, str(uuid.UUID(int=1)), TypeError, "give what its annotation says, UUID"),
    (Item, BigItem("x", dt.datetime(2027, 1, 1), [], 5), TypeError, "give what its annotation says, Item"),
    (Secret, Secret(5), TypeError, "give what its annotation says, Secret"),
    (float, 2**60 + 1, TypeError, "give what its annotation says, float"),
    (float, math.nan, ValueError, "take(value) must be a finite number, not nan: JSON has none other"),
    (list[float], [0.0, math.inf], ValueError, "take(value[1]) must be a finite number, not inf"),
    (dict[float, int], {math.nan: 1}, TypeError, "take(value) must not have the key nan"),
    (int, 2**63, ValueError, "take(value) must be an int of at most 64 bits, not of 65: give text or a Decimal"),
    (int, -(2**63) - 1, ValueError, "must be an int of at most 64 bits"),
    (int, 10**5000, ValueError, "must be an int of at most 64 bits, not of 16611"),
    (dict[int, int], {2**64: 1}, ValueError, "must be an int of at most 64 bits"),
    (str, "a\0b", ValueError, r"take(value) must be text without NUL, not 'a\x00b': PostgreSQL stores none"),
    (Item, Item("\0", FOLD), ValueError, "take(value.name) must be text without NUL"),
    (dict[str, int], {"\0": 1}, ValueError, "take(value) must be text without NUL"),
    (str, "\ud800", ValueError, "take(value) must be text that UTF-8 can carry"),
    (dict[str, int], {"\ud800": 1}, ValueError, "take(value) must be text that UTF-8 can carry"),
    (Any, deep(65), ValueError, "must not be nested deeper than 64"),
    (Any, deep(100_000), ValueError, "must not be nested deeper than 64"),
    (Any, CIRCLE, ValueError, "must not be nested deeper than 64"),
    (Any, object(), TypeError, "take(value) must be what JSON can carry, not <object object at"),
    (Any, {"a": [1, {"b": 1j}]}, TypeError, "take(value.a[1].b) must be what JSON can carry, not 1j: give data"),
    (Plain, Plain(1, print), TypeError, "take(value.y) must be what JSON can carry, not <built-in function print>"),
    (pendulum.Duration, pendulum.interval(pendulum.datetime(2027, 1, 1), pendulum.datetime(2027, 2, 1)), TypeError,
     "must be what JSON can carry"),
    (dict[tuple[int, int], int], {(1, 2): 3}, TypeError, "take(value) must not have the key (1, 2), which JSON cannot"),
    (dict[bool, int], {True: 3}, TypeError, "must not have the key True"),
    (dict[dt.datetime, int], {FOLD: 3}, TypeError, "must not have the key datetime.datetime(2026, 10, 25"),
    (dict[Any, int], {1: 1, "1": 2}, ValueError, "take(value) must not have keys that are one in JSON"),
    (dt.time, dt.time(1, tzinfo=BERLIN), ValueError, "must have no zone without a date"),
    (dt.datetime, dt.datetime(2027, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=3601))), ValueError,
     "must have an offset of whole minutes, not 1:00:01: give it in UTC or a named zone"),
    (dt.datetime, dt.datetime(1, 1, 1, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo")), TypeError, "take"),
    (str | dt.datetime, "x", TypeError, ("take(value) must be annotated with a type that JSON can be read as, not "
     "str | datetime.datetime: Type unions may not contain more than one str-like type")),
    (complex, 1j, TypeError, "must be what JSON can carry"),
    (pendulum.DateTime, "soon", TypeError, "take(value) must be DateTime, and 'soon' is not: Invalid RFC3339"),
    (Snooze, 5, TypeError, "take(value)"),
    (str, "x" * 70_000, ValueError, ("the arguments of take must be at most 65536 bytes of JSON, not 70010: "
     "store them elsewhere and give their key")),
    (str, "ä" * 35_000, ValueError, "must be at most 65536 bytes of JSON, not 70010"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_carried_is_refused_with_place_rule_and_cure(kind, value, error, message):
    fn = taking(kind)
    if kind is inspect.Parameter.empty:
        fn.__annotations__ = {}
    with pytest.raises(error) as caught:
        codec.encode_call(fn, (value,), {})
    assert message in str(caught.value)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 1000
    if kind is Snooze or value is None:
        return
    with pytest.raises((TypeError, ValueError)) as caught:  # of results
        codec.encode_result(fn, value)
    assert len(str(caught.value)) < 1000
    assert "the result of take" in str(caught.value) or "annotated" in str(caught.value)


def test_names_of_arguments_in_messages():
    for args, kwargs, place in [
        (("x", FOLD), {}, "send_digest(user_id) must be int"),
        ((1, FOLD, 2, "x"), {}, "send_digest(more[1]) must be int"),
        ((1,), {"when": 5}, "send_digest(when) must be datetime"),
        ((1, FOLD), {"eu": 5}, "send_digest(eu) must be str"),
        ((1, FOLD, 2, math.nan), {}, "send_digest(more[1]) must be a finite number"),
        ((1, FOLD), {"eu": math.nan}, "send_digest(eu) must be a finite number"),
        ((1, FOLD, print), {}, "send_digest(more[0]) must be what JSON can carry"),
    ]:
        with pytest.raises((TypeError, ValueError)) as caught:
            codec.encode_call(send_digest, args, kwargs)
        assert str(caught.value).startswith(place)


def test_arguments_that_do_not_fit_the_function():
    with pytest.raises(TypeError, match=r"take\(value: int\) -> int cannot be called so: missing a required argument"):
        codec.encode_call(taking(int), (), {})
    with pytest.raises(TypeError, match="too many"):
        codec.encode_call(taking(int), (1, 2), {})


# --- results ------------------------------------------------------------------------------------------------------


def test_results():
    async def report(): ...

    for said, value in [(int | Snooze | Abort, 5), (Snooze, None), (int, None), (Item | Snooze, Item("x", FOLD))]:
        report.__annotations__ = {"return": said}
        fresh = JSONCodec()
        text = fresh.encode_result(report, value)
        assert fresh.decode_result(report, text) == value
    del report.__annotations__["return"]
    plain = JSONCodec()
    assert plain.decode_result(report, plain.encode_result(report, {"a": [1]})) == {"a": [1]}
    with pytest.raises(TypeError, match=r"the result of report must come back .* would be \[1\]: annotate"):
        plain.encode_result(report, (1,))
    with pytest.raises(ValueError, match="the result of report must be at most 65536 bytes of JSON, not 70008"):
        plain.encode_result(report, "x" * 70_000)
    with pytest.raises(TypeError, match=r"the result of report\.a\[0\] must be what JSON can carry"):
        plain.encode_result(report, {"a": [print]})


def test_a_zone_of_a_result_is_kept():
    async def report() -> list[dt.datetime]: ...

    text = codec.encode_result(report, [FOLD])
    assert text == '{"r":["2026-10-25T02:30:00+01:00"],"z":{"/r/0":"Europe/Berlin"}}'
    assert codec.decode_result(report, text)[0].tzinfo is BERLIN


def test_limits_are_arguments_and_are_checked():
    small = JSONCodec(max_size=20, max_result=16)
    small.encode_call(taking(str), ("x" * 10,), {})
    with pytest.raises(ValueError, match="at most 20 bytes of JSON, not 23"):
        small.encode_call(taking(str), ("x" * 13,), {})
    with pytest.raises(ValueError, match="at most 16"):
        small.encode_result(taking(str), "x" * 20)
    assert repr(small) == "JSONCodec(max_size=20, max_result=16)"
    for wrong in (0, "x", True, 1.5):
        with pytest.raises((TypeError, ValueError), match="max_size"):
            JSONCodec(max_size=wrong)


# --- hostile text -------------------------------------------------------------------------------------------------

BROKEN = [
    ("", "truncated"),
    ("null", "must be a JSON object"),
    ("[]", "must be a JSON object"),
    ("{", "truncated"),
    ('{"a":5}', "must be an object of a list 'a'"),
    ('{"k":[]}', "must be an object of a list 'a'"),
    ('{"a":[1],"x":1}', "and nothing else"),
    ("{}", "missing a required argument"),
    ('{"a":[1,2]}', "too many positional"),
    ('{"k":{"value":1,"other":2}}', "unexpected keyword argument 'other'"),
    ('{"a":["x"]}', "stored arguments: take(value): Expected `int`, got `str`"),
    ('{"a":[1.5]}', "Expected `int`, got `float`"),
    ('{"a":[' + "9" * 5000 + "]}", "out of range"),
    ('{"a":[' + "[" * 30_000 + "]" * 30_000 + "]}", "nested deeper than 64"),
    ('{"a":[' + "[" * 100 + "]" * 100 + "]}", "nested deeper than 64"),
    ('{"a":[' + "1," * 30_000 + "1]}", "too many positional"),
    ('{"a":["' + "x" * 70_000 + '"]}', "must be at most 65536 bytes of JSON, not 70010"),
    ('{"a":[1],"z":5}', "zones must be an object"),
    ('{"a":[1],"z":{"/a/0":"UTC"}}', "must lead to a datetime"),
    ('{"a":[1],"z":{"/a/9":"UTC"}}', "leads nowhere"),
    ('{"a":[1],"z":{"":"UTC"}}', "leads nowhere"),
    ('{"a":[1],"z":{"/a/0/x":"UTC"}}', "leads nowhere"),
    ('{"a":[1],"z":{"/a/-1":"UTC"}}', "leads nowhere"),
    ('{"a":["2027-01-01T00:00:00+00:00"],"z":{"/a/0":"../../etc/passwd"}}', "tz must be an IANA time zone name"),
    ('{"a":["2027-01-01T00:00:00+00:00"],"z":{"/a/0":5}}', "must lead to a datetime"),
    ('{"a":["2027-01-01T00:00:00"],"z":{"/a/0":"UTC"}}', "must lead to a datetime"),
    ('{"a":["0001-01-01T00:00:00+14:00"],"z":{"/a/0":"UTC"}}', "OverflowError"),
    ('{"a":["2027-01-01T00:00:00+00:00"],"z":{"/a/0":"UTC"}}', "Expected `int`, got `datetime`"),
    ('{"a":["\ud800"]}', "surrogates"),
    (5, "must be text, not a int"),
    (b"{}", "must be text, not a bytes"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=range(len(BROKEN)))
def test_broken_text_is_a_value_error_with_its_place(text, message):
    with pytest.raises(ValueError) as caught:
        codec.decode_call(taking(int), text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
    with pytest.raises(ValueError):
        codec.decode_result(taking(int), text)


def test_errors_of_users_classes_are_value_errors_too():
    @dataclasses.dataclass
    class Bad:
        x: int

        def __post_init__(self):
            raise KeyError("x" * 5000)

    with pytest.raises(ValueError, match=r"stored arguments: take.*KeyError") as caught:
        codec.decode_call(taking(Bad), '{"a":[{"x":1}]}')
    assert len(str(caught.value)) < 1000


def test_an_annotation_that_nothing_can_be_read_as():
    with pytest.raises(ValueError, match="must be annotated with a type"):
        codec.decode_call(taking(str | dt.datetime), '{"a":["x"]}')


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "a": anything | st.lists(anything, max_size=3),
        "k": st.dictionaries(st.sampled_from(["value", "x"]), anything, max_size=2),
        "r": anything,
        "z": st.dictionaries(
            st.sampled_from(["/a/0", "/k/value", "/r", "/r/0", "", "/", "a"]), st.just("UTC") | anything
        ),
    },
)
KINDS = [kind for kind, _ in VALUES]


@settings(max_examples=300)
@given(st.sampled_from(KINDS), documents.map(json.dumps) | anything.map(json.dumps) | st.text())
def test_hostile_text_raises_nothing_but_value_errors(kind, text):
    fn = taking(kind)
    for read, write in [
        (codec.decode_call, lambda back: codec.encode_call(fn, *back)),
        (codec.decode_result, lambda back: codec.encode_result(fn, back)),
    ]:
        try:
            back = read(fn, text)
        except ValueError as error:
            assert len(str(error)) < 1000  # noqa: PT017
            continue
        try:
            write(back)
        except ValueError as error:  # NUL and great numbers can be read
            assert "NUL" in str(error) or "64 bits" in str(error)  # noqa: PT017


def test_a_text_that_talks_like_an_error_costs_no_time():
    with pytest.raises(ValueError, match="Invalid enum value"):
        codec.decode_call(taking(Colour), json.dumps({"a": [" - at `$[0]" * 5000]}))


def test_depth_is_counted_alike_when_writing_and_reading():
    text, args, _ = codec.encode_call(taking(Any), (deep(64),), {})
    assert codec.decode_call(taking(Any), text)[0] == args == (deep(64),)
    with pytest.raises(ValueError, match="nested deeper than 64"):
        codec.decode_call(taking(Any), text.replace("1", "[1]"))


def test_ways_to_call_that_are_remembered_are_bounded():
    def fn(**kwargs: int): ...

    fresh = JSONCodec()
    for index in range(1000):
        fresh.decode_call(fn, f'{{"k":{{"k{index}":1}}}}')
    assert len(fresh._signature(fn)._shapes) <= 128


def test_a_registry_takes_another_codec():
    assert isinstance(Registry().codec, JSONCodec)
    other = JSONCodec(max_size=100)
    assert Registry(codec=other).codec is other
    for wrong in ("json", JSONCodec, object()):
        with pytest.raises(TypeError, match=r"codec must be an object with encode_call, .* such as JSONCodec\(\)"):
            Registry(codec=wrong)
