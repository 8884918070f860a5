"""The functions that jobs call: what kind they are, and whether their arguments fit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final, NoReturn

_GENERATORS: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def is_async(fn: object) -> bool:
    """Whether calling ``fn`` gives a coroutine.

    That is an async function, a partial or bound method of one, or an object whose ``__call__`` is one.
    """
    code = getattr(fn, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_COROUTINE:
        return True
    while isinstance(fn, partial):
        fn = fn.func
    if inspect.iscoroutinefunction(fn):
        return True
    return not isinstance(fn, (FunctionType, MethodType, type)) and inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004
    )


def check_call(fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that ``fn`` cannot take, in the caller, before anything is stored.

    Plain functions are counted without `inspect.signature`, which costs as much as scheduling itself.

    Raises:
        TypeError: not a function, a coroutine or generator in its place, or arguments that do not fit.
    """
    plain = fn
    bound = 0
    if type(fn) is MethodType:
        plain, bound = fn.__func__, 1
    if type(plain) is FunctionType:
        code = plain.__code__
        flags = code.co_flags
        if flags & _GENERATORS:
            raise TypeError(f"{fn!r} is a generator function; a job is an async function or a plain one")
        if not kwargs and not code.co_kwonlyargcount and not hasattr(plain, "__wrapped__"):
            missing = code.co_argcount - bound - len(args)
            if missing == 0 or (
                flags & inspect.CO_VARARGS if missing < 0 else missing <= len(plain.__defaults__ or ())
            ):
                return
    elif inspect.iscoroutine(fn) or inspect.isawaitable(fn):
        if inspect.iscoroutine(fn):
            fn.close()
        raise TypeError(
            f"schedule() takes the function itself and its arguments, not the coroutine {fn!r}: leave out the call"
        )
    elif not callable(fn):
        raise TypeError(f"schedule() takes a function to run, not {fn!r}")
    elif getattr(getattr(type(fn).__call__, "__code__", None), "co_flags", 0) & _GENERATORS:
        raise TypeError(f"calling {fn!r} makes a generator; a job is an async function or a plain one")
    try:
        signature = inspect.signature(fn)
    except ValueError:  # some builtins tell nobody; the call itself will
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as exc:
        raise TypeError(
            f"{function_name(fn)}{signature} cannot be called with args={args!r}, kwargs={dict(kwargs)!r}: {exc}"
        ) from None


def check_place(run_in: str | None, fn: Any) -> None:
    """Refuse an async function for a thread or a process, and a plain one for a task."""
    if run_in == "task" and not is_async(fn):
        raise TypeError(f"run_in='task' needs an async function; {function_name(fn)} is not one: use 'thread'")
    if run_in in ("thread", "process") and is_async(fn):
        raise TypeError(f"run_in={run_in!r} needs a plain function; {function_name(fn)} is async: use 'task'")


def refuse_awaitable(name: str, value: Any) -> NoReturn:
    """Refuse what a function that must be plain has returned: closed first, so that Python does not complain too."""
    if hasattr(value, "close"):
        value.close()
    raise TypeError(f"{name} must be a plain function; it returned {value!r}, which nobody awaits")


def function_name(fn: Any) -> str:
    """The function's own name, for default job names and messages."""
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


def unwrap(fn: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], Mapping[str, Any]]:
    """Take partials apart, so that a job shows, compares and updates the function, ``args`` and ``kwargs``."""
    kwargs: dict[str, Any] = {}
    while isinstance(fn, partial):
        args = fn.args + args
        kwargs = {**fn.keywords, **kwargs}
        fn = fn.func
    return fn, args, kwargs
