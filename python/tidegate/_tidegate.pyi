"""What the extension module has; `mypy.stubtest` compares it with the built one."""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, Literal, NotRequired, Required, TypeAlias, TypedDict, Unpack, final, type_check_only

from tidegate import Action, Outcome
from tidegate._enums import (
    Decline,
    OverQuotaAction,
    QuotaLimit,
    Reason,
    RequestState,
    WorkerKind,
    Yielding,
    YieldMode,
)
from tidegate._errors import Error
from tidegate._records import (
    Completion,
    DevicePart,
    Explanation,
    PromptLeft,
    Rate,
    RequestSpec,
    ShareWarning,
    StepException,
    TenantUsage,
)

__all__ = [
    "Abort",
    "Accepted",
    "AlsoLost",
    "Cancelled",
    "Config",
    "Drop",
    "LeaseWanted",
    "Preempt",
    "Refused",
    "Scheduler",
    "SharedScheduler",
    "Spare",
    "Start",
    "Stats",
    "StopFirst",
    "Stuck",
    "__version__",
    "complete_columns",
    "export_manifests",
    "import_manifests",
    "poll_rows",
    "read_deployment",
    "step_columns",
    "submit_columns",
]

__version__: Final[str]

_Amounts: TypeAlias = Mapping[str, int] | Iterable[int]
_Pools: TypeAlias = str | int | list[str | int] | tuple[str | int, ...]

@type_check_only
class _PoolReserve(TypedDict, total=False):
    reserve_ppm: int | None
    reserve_ppm_in: Mapping[str, int] | None
    reserve_units: Mapping[str, int] | None

@type_check_only
class _TierSettings(TypedDict, total=False):
    name: Required[str]
    reserve_ppm: int | None
    reserve_ppm_in: Mapping[str, int] | None
    reserve_units: Mapping[str, int] | None
    pools: Mapping[str, _PoolReserve] | None
    lendable_ppm: int | None
    borrow_limit: Mapping[str, int] | None
    rounding: str | None
    hold_window: str | None
    preemption: str | None
    preempt_while_borrowing: str | None
    preemption_budget: int | None
    order: str | None
    deadline_token_weight: str | None
    age_after: str | None
    prefill_share_ppm: int | None
    token_objective: str | None
    queue_limit: int | None
    queue_token_limit: int | None
    queue_timeout: str | None

@type_check_only
class _StepTime(TypedDict):
    base: str
    prompt_token: str
    decode: str
    decode_context: NotRequired[str]
    prompt_context: NotRequired[str]

@type_check_only
class _RateSettings(TypedDict, total=False):
    amount: Required[int]
    period: Required[str]
    burst: int | None

@type_check_only
class _DefaultPolicy(TypedDict, total=False):
    weight: int | None
    most_urgent: str | None
    requests: _RateSettings | None
    tokens: _RateSettings | None
    leased: bool | None
    max_running: int | None
    max_in_use: Mapping[str, int] | None
    queue_limit: int | None
    queue_token_limit: int | None
    over_quota: str | None
    allow_when_full: bool | None

@type_check_only
class _Settings(TypedDict, total=False):
    dimensions: Required[list[str] | tuple[str, ...]]
    tiers: Required[list[_TierSettings] | tuple[_TierSettings, ...]]
    pools: list[str] | tuple[str, ...] | None
    placement: str | None
    prefix_blocks: int | None
    prefix_block_tokens: int | None
    prefix_worker_blocks: int | None
    prefix_learning: bool | None
    prefix_load_tokens: int | None
    prefix_imbalance_ppm: int | None
    prefix_wait: str | None
    min_run: str | None
    max_preemptions: int | None
    confirm_after: str | None
    max_bypass: int | None
    drain_after: str | None
    decline_backoff: str | None
    flap_backoff: str | None
    flap_backoff_max: str | None
    flap_forget_after: str | None
    rebalance_every: str | None
    step_time: _StepTime | None
    stop_takes: str | None
    swap_token: str | None
    checkpoint_kib_per_token: int | None
    max_step: str | None
    queue_limit: int | None
    queue_token_limit: int | None
    tenant_queue_limit: int | None
    tenant_queue_token_limit: int | None
    displace: bool | None
    input_cost: int | None
    cached_cost: int | None
    output_cost: int | None
    predict_output: bool | None
    lease_replicas: int | None
    lease_ask_again_after: str | None
    lease_fallback_after: str | None
    lease_fallback: str | None
    hold_timeout: str | None
    max_tenants: int | None
    default_policy: _DefaultPolicy | None

@final
class Config:
    def __new__(cls, **settings: Unpack[_Settings]) -> Config: ...
    @classmethod
    def from_toml(cls, text: str) -> Config: ...
    def to_toml(self) -> str: ...
    @staticmethod
    def from_json(text: str) -> Config: ...
    def to_json(self) -> str: ...
    @property
    def dimensions(self) -> tuple[str, ...]: ...
    @property
    def tiers(self) -> tuple[str, ...]: ...
    @property
    def pools(self) -> tuple[str, ...]: ...
    def __reduce__(self) -> tuple[Callable[[str], Config], tuple[str]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Scheduler:
    def __new__(cls, config: Config, *, now_ns: int) -> Scheduler: ...
    @classmethod
    def restore(cls, config: Config, data: bytes | bytearray) -> Scheduler: ...
    def snapshot(self) -> bytes: ...
    def __reduce__(self) -> tuple[Callable[[Config, bytes], Scheduler], tuple[Config, bytes]]: ...
    @property
    def now_ns(self) -> int: ...
    @property
    def config(self) -> Config: ...
    def reconfigure(self, config: Config, *, now_ns: int) -> None: ...
    def tenant_set(self, name: str, *, now_ns: int) -> int: ...
    def tenant_configure(
        self,
        tenant: int,
        *,
        parent: int | None = None,
        weight: int = 1,
        most_urgent: str | int = 0,
        requests: Rate | tuple[int, int, int] | None = None,
        tokens: Rate | tuple[int, int, int] | None = None,
        leased: bool = False,
        max_running: int | None = None,
        max_in_use: _Amounts | None = None,
        queue_limit: int | None = None,
        queue_token_limit: int | None = None,
        over_quota: OverQuotaAction | str = "wait",
        allow_when_full: bool = False,
        now_ns: int,
    ) -> None: ...
    def tenant_remove(self, tenant: int, *, now_ns: int) -> None: ...
    def lease_granted(
        self, tenant: int, limit: QuotaLimit | str, seq: int, tokens: int, valid_for_ns: int, *, now_ns: int
    ) -> None: ...
    def device_add(self, limit: _Amounts | None = None, *, checkpoint_mib: int | None = None, now_ns: int) -> int: ...
    def device_resize(
        self, device: int, limit: _Amounts, *, preempt_after_ns: int | None = None, now_ns: int
    ) -> None: ...
    def device_lost(self, device: int, *, now_ns: int) -> None: ...
    def worker_add(
        self,
        capacity: _Amounts,
        *,
        pool: str | int = 0,
        devices: Iterable[DevicePart | tuple[int, int]] | None = None,
        kind: WorkerKind | str = "dedicated",
        spare: bool = False,
        replaces: int | None = None,
        now_ns: int,
    ) -> int: ...
    def worker_resize(
        self, worker: int, capacity: _Amounts, *, preempt_after_ns: int | None = None, now_ns: int
    ) -> None: ...
    def worker_usage(self, worker: int, *, in_use: _Amounts, now_ns: int) -> None: ...
    def cache_stored(self, worker: int, *, blocks: Iterable[int], now_ns: int) -> None: ...
    def cache_evicted(self, worker: int, *, blocks: Iterable[int], now_ns: int) -> None: ...
    def prefix_set(self, request: int, *, blocks: Iterable[int], now_ns: int) -> None: ...
    def step(
        self,
        worker: int,
        *,
        tokens_each: int = 1,
        exceptions: Iterable[StepException | tuple[int, int, int, _Amounts]] | None = None,
        now_ns: int,
    ) -> None: ...
    def worker_drain(self, worker: int, *, now_ns: int) -> None: ...
    def worker_lost(self, worker: int, *, now_ns: int) -> None: ...
    def submit(
        self,
        *,
        tenant: str | int,
        tier: str | int,
        demand: _Amounts,
        pool: _Pools = 0,
        peak: _Amounts | None = None,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        output_tokens: int | None = None,
        yielding: Yielding | str = "restart",
        deadline_ns: int | None = None,
        queue_timeout_ns: int | None = None,
        tag: int = 0,
        now_ns: int,
    ) -> int: ...
    def submit_many(
        self, requests: Iterable[RequestSpec | tuple[object, ...]], *, now_ns: int
    ) -> list[int | Error]: ...
    def amend(
        self,
        request: int,
        *,
        demand: _Amounts | None = None,
        peak: _Amounts | None = None,
        tier: str | int | None = None,
        deadline_ns: int | None = None,
        now_ns: int,
    ) -> None: ...
    def cancel(self, request: int, *, now_ns: int) -> None: ...
    def started(self, request: int, attempt: int, *, cached_tokens: int = 0, in_use: _Amounts, now_ns: int) -> None: ...
    def declined(self, request: int, attempt: int, *, why: Decline | str = "other", now_ns: int) -> None: ...
    def progress(self, request: int, attempt: int, *, output_tokens: int, in_use: _Amounts, now_ns: int) -> None: ...
    def preempted(
        self, request: int, attempt: int, *, tokens_kept: int = 0, releasing: bool = False, now_ns: int
    ) -> None: ...
    def released(self, request: int, attempt: int, *, now_ns: int) -> None: ...
    def complete(
        self,
        request: int,
        attempt: int,
        *,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        output_tokens: int = 0,
        now_ns: int,
    ) -> None: ...
    def complete_many(
        self, completions: Iterable[Completion | tuple[int, ...]], *, now_ns: int
    ) -> list[Error | None]: ...
    def failed(self, request: int, attempt: int, *, now_ns: int) -> None: ...
    def poll(self, *, now_ns: int) -> list[Action]: ...
    def poll_one(self, *, now_ns: int) -> Action | None: ...
    def poll_timeout(self) -> int | None: ...
    def state(self, request: int) -> RequestState: ...
    def explain(self, request: int) -> Explanation: ...
    def share_warnings(self) -> list[ShareWarning]: ...
    def step_plan(
        self, worker: int, *, tokens: int, prompts: Iterable[PromptLeft | tuple[int, int]]
    ) -> list[PromptLeft]: ...
    def queue_depth(self, tier: str | int) -> int: ...
    def kept_out_until(self, worker: int) -> int | None: ...
    def effective_reserve(self, tier: str | int, pool: str | int = 0) -> dict[str, int]: ...
    def in_use(self, tier: str | int, pool: str | int = 0) -> dict[str, int]: ...
    def waiting_demand(self, tier: str | int, pool: str | int = 0) -> dict[str, int]: ...
    def usage(self, tenant: int, *, tier: str | int | None = None, at_ns: int = 0) -> TenantUsage: ...
    def forgotten_usage(self, tier: str | int) -> TenantUsage: ...
    def tenants(self) -> dict[int, str]: ...
    def metrics(self, *, format: str = "openmetrics", tenants: int = 100) -> str: ...
    def stats(self) -> Stats: ...
    def check_invariants(self) -> None: ...

@final
class SharedScheduler:
    def __new__(cls, config: Config, *, intake_capacity: int = 1024, now_ns: int) -> SharedScheduler: ...
    @classmethod
    def restore(cls, config: Config, data: bytes | bytearray, *, intake_capacity: int = 1024) -> SharedScheduler: ...
    @property
    def scheduler(self) -> Scheduler: ...
    def submit(
        self,
        *,
        tenant: int,
        tier: str | int,
        demand: _Amounts,
        pool: _Pools = 0,
        peak: _Amounts | None = None,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        output_tokens: int | None = None,
        yielding: Yielding | str = "restart",
        deadline_ns: int | None = None,
        queue_timeout_ns: int | None = None,
        tag: int = 0,
        now_ns: int,
    ) -> int: ...
    def cancel(self, ticket: int, *, now_ns: int) -> None: ...
    def cancel_request(self, request: int, *, now_ns: int) -> int: ...
    def started(self, request: int, attempt: int, *, cached_tokens: int = 0, in_use: _Amounts, now_ns: int) -> int: ...
    def declined(self, request: int, attempt: int, *, why: Decline | str = "other", now_ns: int) -> int: ...
    def progress(self, request: int, attempt: int, *, output_tokens: int, in_use: _Amounts, now_ns: int) -> int: ...
    def step(
        self,
        worker: int,
        *,
        tokens_each: int = 1,
        exceptions: Iterable[StepException | tuple[int, int, int, _Amounts]] | None = None,
        now_ns: int,
    ) -> int: ...
    def preempted(
        self, request: int, attempt: int, *, tokens_kept: int = 0, releasing: bool = False, now_ns: int
    ) -> int: ...
    def released(self, request: int, attempt: int, *, now_ns: int) -> int: ...
    def complete(
        self,
        request: int,
        attempt: int,
        *,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        output_tokens: int = 0,
        now_ns: int,
    ) -> int: ...
    def failed(self, request: int, attempt: int, *, now_ns: int) -> int: ...
    def poll(self, *, max_actions: int = 1024, now_ns: int) -> list[Outcome]: ...
    def wait(self, until_ns: int | None = None, *, now_ns: int) -> bool: ...
    def wake(self) -> None: ...

@final
class Accepted:
    __match_args__: ClassVar[tuple[Literal["ticket"], Literal["tag"], Literal["request"]]] = (
        "ticket",
        "tag",
        "request",
    )
    def __new__(cls, ticket: int, tag: int, request: int) -> Accepted: ...
    @property
    def ticket(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def request(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int, int]: ...

@final
class Refused:
    __match_args__: ClassVar[tuple[Literal["ticket"], Literal["tag"], Literal["error"]]] = ("ticket", "tag", "error")
    def __new__(cls, ticket: int, tag: int, error: Error) -> Refused: ...
    @property
    def ticket(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def error(self) -> Error: ...
    def __getnewargs__(self) -> tuple[int, int, Error]: ...

@final
class Cancelled:
    __match_args__: ClassVar[tuple[Literal["ticket"], Literal["request"]]] = ("ticket", "request")
    def __new__(cls, ticket: int, request: int) -> Cancelled: ...
    @property
    def ticket(self) -> int: ...
    @property
    def request(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int]: ...

@final
class StopFirst:
    __match_args__: ClassVar[tuple[Literal["ticket"], Literal["request"]]] = ("ticket", "request")
    def __new__(cls, ticket: int, request: int) -> StopFirst: ...
    @property
    def ticket(self) -> int: ...
    @property
    def request(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int]: ...

@final
class Start:
    __match_args__: ClassVar[
        tuple[
            Literal["request"],
            Literal["worker"],
            Literal["attempt"],
            Literal["resume_tokens"],
            Literal["reason"],
        ]
    ] = ("request", "worker", "attempt", "resume_tokens", "reason")
    def __new__(cls, request: int, worker: int, attempt: int, resume_tokens: int, reason: Reason | str) -> Start: ...
    @property
    def request(self) -> int: ...
    @property
    def worker(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def resume_tokens(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int, int, int, Reason]: ...

@final
class Preempt:
    __match_args__: ClassVar[
        tuple[
            Literal["victim"],
            Literal["attempt"],
            Literal["mode"],
            Literal["beneficiary"],
            Literal["confirm_by_ns"],
            Literal["reason"],
        ]
    ] = ("victim", "attempt", "mode", "beneficiary", "confirm_by_ns", "reason")
    def __new__(
        cls,
        victim: int,
        attempt: int,
        mode: YieldMode | str,
        beneficiary: int | None,
        confirm_by_ns: int,
        reason: Reason | str,
    ) -> Preempt: ...
    @property
    def victim(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def mode(self) -> YieldMode: ...
    @property
    def beneficiary(self) -> int | None: ...
    @property
    def confirm_by_ns(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int, YieldMode, int | None, int, Reason]: ...

@final
class Spare:
    __match_args__: ClassVar[tuple[Literal["victim"], Literal["attempt"], Literal["reason"]]] = (
        "victim",
        "attempt",
        "reason",
    )
    def __new__(cls, victim: int, attempt: int, reason: Reason | str) -> Spare: ...
    @property
    def victim(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int, Reason]: ...

@final
class Abort:
    __match_args__: ClassVar[tuple[Literal["request"], Literal["attempt"], Literal["reason"]]] = (
        "request",
        "attempt",
        "reason",
    )
    def __new__(cls, request: int, attempt: int, reason: Reason | str) -> Abort: ...
    @property
    def request(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int, Reason]: ...

@final
class Drop:
    __match_args__: ClassVar[tuple[Literal["request"], Literal["reason"]]] = ("request", "reason")
    def __new__(cls, request: int, reason: Reason | str) -> Drop: ...
    @property
    def request(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, Reason]: ...

@final
class Stuck:
    __match_args__: ClassVar[tuple[Literal["victim"], Literal["attempt"], Literal["reason"]]] = (
        "victim",
        "attempt",
        "reason",
    )
    def __new__(cls, victim: int, attempt: int, reason: Reason | str) -> Stuck: ...
    @property
    def victim(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int, Reason]: ...

@final
class AlsoLost:
    __match_args__: ClassVar[tuple[Literal["worker"], Literal["by"], Literal["reason"]]] = ("worker", "by", "reason")
    def __new__(cls, worker: int, by: int, reason: Reason | str) -> AlsoLost: ...
    @property
    def worker(self) -> int: ...
    @property
    def by(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, int, Reason]: ...

@final
class LeaseWanted:
    __match_args__: ClassVar[
        tuple[
            Literal["tenant"],
            Literal["limit"],
            Literal["seq"],
            Literal["tokens"],
            Literal["returned"],
            Literal["reason"],
        ]
    ] = ("tenant", "limit", "seq", "tokens", "returned", "reason")
    def __new__(
        cls, tenant: int, limit: QuotaLimit | str, seq: int, tokens: int, returned: int, reason: Reason | str
    ) -> LeaseWanted: ...
    @property
    def tenant(self) -> int: ...
    @property
    def limit(self) -> QuotaLimit: ...
    @property
    def seq(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def returned(self) -> int: ...
    @property
    def reason(self) -> Reason: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, QuotaLimit, int, int, int, Reason]: ...

@final
class Stats:
    @property
    def submitted(self) -> int: ...
    @property
    def completed(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def cancelled(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def live(self) -> int: ...
    @property
    def clock_regressions(self) -> int: ...
    @property
    def further_sets(self) -> int: ...
    @property
    def takeovers(self) -> int: ...
    @property
    def waived_finish_test(self) -> int: ...
    @property
    def waived_min_run(self) -> int: ...
    @property
    def waived_max_preemptions(self) -> int: ...
    @property
    def straddles(self) -> int: ...
    @property
    def by_reason(self) -> dict[Reason, int]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

# What `tidegate.arrays` lays NumPy's types over. A column is a number or any buffer of whole numbers, amounts are also
# mappings and iterables: all of it is checked when it is read, and typed where it is called from.
def submit_columns(
    scheduler: Scheduler,
    *,
    tenant: object,
    tier: object,
    demand: object,
    pool: object,
    peak: object,
    prompt_tokens: object,
    cached_tokens: object,
    output_tokens: object,
    yielding: object,
    deadline_ns: object,
    queue_timeout_ns: object,
    tag: object,
    now_ns: int,
) -> tuple[bytearray, list[tuple[int, Error]]]: ...
def complete_columns(
    scheduler: Scheduler,
    request: object,
    attempt: object,
    *,
    prompt_tokens: object,
    cached_tokens: object,
    output_tokens: object,
    now_ns: int,
) -> list[tuple[int, Error]]: ...
def step_columns(
    scheduler: Scheduler,
    worker: int,
    *,
    tokens_each: int,
    request: object,
    attempt: object,
    output_tokens: object,
    in_use: object,
    now_ns: int,
) -> None: ...
def poll_rows(scheduler: Scheduler, *, now_ns: int) -> bytearray: ...

# What `tidegate.deployment` and `tidegate.kubernetes` give names to.
def read_deployment(
    text: str, *, dimensions: list[str], tiers: str
) -> tuple[
    Config,
    list[tuple[str, str | None, dict[str, object], tuple[int, ...]]],
    list[tuple[int, ...]],
    list[tuple[str, tuple[int, ...], int | None]],
    list[tuple[int, int, tuple[int, ...], list[tuple[int, int]], WorkerKind, bool, int]],
    list[str],
    list[str],
]: ...
def import_manifests(files: list[tuple[str, str]]) -> tuple[str, list[tuple[str, int | None, str, str]]]: ...
def export_manifests(text: str) -> tuple[str, list[tuple[str, str]]]: ...
