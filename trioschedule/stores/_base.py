"""The seam between the scheduler and whatever keeps its rows: plain rows out, plain rows in, one exchange at a time.

The scheduler works on the jobs that it has in memory (`Tables`); a store keeps all of them. Each exchange is one
transaction: what has changed since the last one is written, and what is asked for is read. A store knows no rule of
scheduling: rows are facts to find them by (numbers and short texts) and documents (JSON) that it never looks into.

A store belongs to one scheduler, or, if `Opened.node` is set, many share it, each of them a node. Then a job is worked
on by one node at a time, which holds it: it is given out by a claim, all that is written of it counts only while it is
held, and it is given back by `Changes.released`. A node that has not exchanged anything for as long as the lease is
taken for dead, and what it held can be claimed by others.

Times are UTC epoch in integer microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol


class JobRow(NamedTuple):
    """One job, whole: what is written when it is new, and what is read."""

    id: int
    function: str  # its registered name
    args: str  # JSON
    trigger: str  # JSON
    options: str  # JSON
    queue: str
    priority: int  # 0 comes first
    group: str | None
    declared: bool  # in code, and not by a command
    created_at: int
    name: str | None  # as given; None: made of function and id
    unique_key: str | None
    key_until: int | None  # it claims its key until then even if it is over
    status: str
    wake_at: int | None  # when it wants to be looked at; None: only when somebody asks for it
    finished_at: int | None  # None: it is not over
    state: str  # JSON
    runs: str  # JSON: its runs without an outcome, and of a one-shot the run of its slot


class JobState(NamedTuple):
    """What changes in a job as it lives."""

    id: int
    name: str | None
    unique_key: str | None
    key_until: int | None
    status: str
    wake_at: int | None
    finished_at: int | None
    state: str
    runs: str


class JobDefinition(NamedTuple):
    """What changes in a job when it is updated."""

    id: int
    function: str
    args: str
    trigger: str
    options: str
    queue: str
    priority: int
    group: str | None
    declared: bool


class RunRow(NamedTuple):
    """One run that is over; history."""

    id: int
    job_id: int
    due: int
    status: str
    finished_at: int
    data: str  # JSON


class QueueRow(NamedTuple):
    """What was said about a queue at run time."""

    name: str
    paused: bool
    limit: int | None
    configured: int | None  # the limit in the code when it was scaled: another one there ends the scaling


class Prune(NamedTuple):
    """Forget what has been over since before `before`, and what is more than `keep` of a kind; `most` of each at once.

    Declared jobs are kept and do not count; those that claim a key until after `now`, and those that a node holds, are
    kept, and do.
    """

    before: int
    now: int
    keep: int
    most: int


class Message(NamedTuple):
    """What one node says to another; whoever reads it is the only one, and it is read once."""

    to: str
    sender: str
    body: str  # JSON
    about: tuple[int, ...] = ()  # ids of jobs: it is not sent if in this exchange one of them is lost or clashing


class Changes(NamedTuple):
    """What is written in one exchange, in this order; all of it or, if it raises, nothing."""

    removed: Sequence[int] = ()  # ids of jobs: they go with their history; ids that are not there are no error
    added: Sequence[JobRow] = ()  # one that is there already is replaced: what failed may be sent again
    defined: Sequence[JobDefinition] = ()
    changed: Sequence[JobState] = ()
    runs: Sequence[RunRow] = ()  # one that is there already is replaced; that of a job which is gone is dropped
    runs_reopened: Sequence[int] = ()  # ids of runs that are history no more
    queues: Sequence[QueueRow] = ()
    groups_opened: Sequence[str] = ()
    groups_left: Sequence[str] = ()
    facts: Mapping[str, str] = {}  # by name; "job_id" and "run_id" are the highest ids that were given out
    prune: Prune | None = None
    # Of a store that is shared:
    released: Sequence[int] = ()  # ids of jobs that are held no more, after all that; those of `added` never were
    messages: Sequence[Message] = ()
    together: Sequence[Sequence[int]] = ()  # ids of `added`: if one of them is clashing, so are the others


class Query(NamedTuple):
    """Which jobs: conditions joined by and; None is no condition. By id, `limit` of them, after this id."""

    group: str | None = None
    queue: str | None = None
    name: str | None = None  # as given, or a default name
    over: bool | None = None
    statuses: frozenset[str] | None = None
    after: int = 0
    limit: int | None = None


class Due(NamedTuple):
    """Jobs with a `wake_at`, by (wake_at, id), `limit` of them, after this place in that order."""

    wake_at: int
    id: int
    limit: int


class Claim(NamedTuple):
    """Jobs that are due and that no node holds, by priority, `wake_at` and id; from then on they are held.

    `limit` of them, and of each queue that is named at most so many; of other queues only if `others`. Of a queue with
    a total all nodes together hold no more than that. If functions are named: only what calls one of them, or has been
    due since `strange`.
    """

    queues: Mapping[str, int]
    others: bool
    limit: int
    totals: Mapping[str, int] = {}
    functions: Sequence[str] | None = None
    strange: int = 0


class Wants(NamedTuple):
    """What is read in one exchange, after what is written."""

    ids: Sequence[int] = ()
    names: Sequence[str] = ()  # of each name as given: the jobs that are not over, and the newest
    keys: Sequence[str] = ()  # the newest job of each unique key
    queries: Sequence[Query] = ()
    due: Due | None = None
    history: Sequence[tuple[int, int]] = ()  # (job id, limit): its newest runs, by id
    counts: Sequence[Query] = ()  # ids only, of these
    # Of a store that is shared:
    claim: Claim | None = None
    holds: Sequence[int] = ()  # ids of jobs that are to be held, due or not
    holders: Sequence[int] = ()  # ids of jobs of which is asked who holds them, no more
    queues: bool = False  # whether what was said about queues is wanted, too
    now: int = 0  # the time: by it is decided what is due, and which keys are still claimed


class Answer(NamedTuple):
    """What was asked for."""

    jobs: Sequence[JobRow] = ()  # of ids, names, keys and queries; each once
    due: Sequence[JobRow] = ()
    history: Mapping[int, Sequence[RunRow]] = {}  # by job id, newest first
    counted: Sequence[Sequence[int]] = ()  # ids, for each query of `counts`
    pruned: Sequence[int] = ()  # ids of jobs that are forgotten
    # Of a store that is shared:
    held: Sequence[JobRow] = ()  # of `claim` and `holds`: this node holds them now
    claimed: Sequence[int] = ()  # ids of those of `claim`; they count for its totals
    elsewhere: Mapping[int, str] = {}  # of `holds` and `holders`: the other nodes that hold them
    lost: Sequence[int] = ()  # ids of jobs in `changes` that this node does not hold: of them nothing was written
    # Likewise, but others than those, for a live job has that name, or another one that key. Only what a row has not
    # claimed before is looked at: what replaces a job has its name while that one still cleans up. What was held still
    # is.
    clashing: Sequence[int] = ()
    next_due: int | None = None  # when there will be something for `claim`, but for its totals and functions
    ids: tuple[int, int] = (0, 0)  # the highest ids of jobs and runs that any node has given out, as far as is known
    messages: Sequence[Message] = ()  # to this node; read after `held`: who gave a job back has said before what it did
    # This node was taken for dead: it holds nothing any more but what is in `held`, where what it has added is, too.
    fenced: bool = False
    queues: Sequence[QueueRow] = ()  # all, if they are wanted
    # That this node has opened; and those that nodes have died with and no living one has open, which it is to leave.
    groups: Sequence[str] = ()
    clock: int | None = None  # the time that counts for all nodes, if the store has one


class Opened(NamedTuple):
    """What is there when a store is opened."""

    facts: Mapping[str, str]
    queues: Sequence[QueueRow]
    groups: Sequence[str]  # opened, and not left
    open_jobs: int  # how many jobs are not over
    last_job_id: int  # the highest that ever was, 0 if none
    last_run_id: int
    active: Sequence[JobRow]  # status running or cancelling: their process has died
    declared: Sequence[JobRow]  # over or not
    numbered: Sequence[str]  # names as given that end in a hyphen and a number above `last_job_id`
    node: str | None = None  # who this scheduler is to others; None: nobody else works with this store
    lease: float = 0.0  # seconds after which a node that is not heard of loses what it holds
    place: int = 0  # the ids that this node gives out end in this: no two living nodes have the same


class Store(Protocol):
    """Keeps jobs and runs. One scheduler drives it, from one task, one call at a time.

    Its calls are not cancelled: the scheduler shields them, for a transaction has no unknown outcome. So they must end
    within seconds, if need be with an error.
    """

    async def open(self) -> Opened:
        """Take it for this process, create or migrate what is missing.

        Raises:
            StoreError: it cannot be used; nothing was touched.
        """
        ...

    async def exchange(self, changes: Changes, wants: Wants, /) -> Answer:
        """Write and read in one transaction; what it has returned from is durable.

        Raises:
            StoreError: nothing was written. ``temporary`` says whether the same may succeed later; ``rows`` are ids
                of jobs without which the rest can be written.
        """
        ...

    async def close(self) -> None:
        """Let go of it; also after `open` has failed. Raises nothing."""
        ...


class SharedStore(Store, Protocol):
    """A store that many nodes share; each of them drives one of these.

    An exchange that has failed with a ``temporary`` error and without ``rows`` may have been carried out all the same,
    if a connection breaks before that is told. Then the next one is given the very same `Changes`, again and again, and
    the store finds out whether they are written; so they are once, whatever others have done with the jobs meanwhile.
    What is read is read anew; what was clashing and whether this node was fenced is told again, and `held` is all that
    it holds.
    """

    async def listen(self, nudge: Callable[[int | None], object], /) -> None:
        """A task that ends when it is cancelled: say what other nodes have written that this one should know of.

        ``nudge(wake_at)``: then there will be something to claim; ``nudge(None)``: there is a message, or something
        was said about a queue. What is not heard of costs time alone, for everything is looked at now and then.

        Raises:
            StoreError: nothing can be heard just now; it is called again.
        """
        ...
