/* tidegate in C++17: what goes in and comes out: specs, policies, reports, actions. tidegate.hpp includes it.
 *
 * What goes in is made like a sentence, `RequestSpec(tenant, tier).demand({1, 40}).prompt_tokens(512)`; whatever is
 * not said is absent, or 0. Each is the C struct and nothing else, so that lists of them go through as they are.
 */
#ifndef TIDEGATE_RECORDS_HPP
#define TIDEGATE_RECORDS_HPP

#include "words.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

namespace detail {

template <class C> class Record {
public:
  /// For calls of tidegate.h, and for fields that have no word here.
  C &c() noexcept { return c_; }
  const C &c() const noexcept { return c_; }

protected:
  explicit constexpr Record(const C &c) noexcept : c_(c) {}
  void set(const Resources &from, std::uint64_t (&to)[TIDEGATE_DIMENSIONS]) noexcept {
    for (std::size_t dimension = 0; dimension < from.size(); ++dimension) to[dimension] = from[dimension];
  }

  C c_;
};

} // namespace detail

/// A request as the host submits it.
class RequestSpec : public detail::Record<tidegate_request_spec_t> {
public:
  RequestSpec(TenantId tenant, TierId tier) noexcept : Record(TIDEGATE_REQUEST_SPEC_INIT) {
    c_.tenant = tenant.value;
    c_.tier = tier.value;
  }
  /// The workers that can serve it; without it the config's first pool.
  RequestSpec &pool(PoolId pool) noexcept { return c_.pool = pool.value, c_.other_pools_count = 0, *this; }
  /// The pools that can serve it, in order of preference: it starts in the first where it can at once, or else waits in
  /// the first that can hold it. Those beyond TIDEGATE_OTHER_POOLS and one are refused when it is submitted.
  RequestSpec &pools(std::initializer_list<PoolId> pools) noexcept {
    std::uint32_t named = 0;
    for (PoolId pool : pools) {
      if (named == 0)
        c_.pool = pool.value;
      else if (named <= TIDEGATE_OTHER_POOLS)
        c_.other_pools[named - 1] = pool.value;
      ++named;
    }
    return c_.other_pools_count = named > 0 ? named - 1 : 0, *this;
  }
  /// What the engine can do when it has to yield; without it, begin anew.
  RequestSpec &yielding(Yield yielding) noexcept { return c_.yielding = number(yielding), *this; }
  /// Units it takes when it starts.
  RequestSpec &demand(const Resources &units) noexcept { return set(units, c_.demand), *this; }
  /// Units it is expected to take when it is largest; where smaller than demand, demand counts.
  RequestSpec &peak(const Resources &units) noexcept { return set(units, c_.peak), *this; }
  RequestSpec &prompt_tokens(std::uint64_t tokens) noexcept { return c_.prompt_tokens = tokens, *this; }
  /// How many tokens of the prompt an engine has in its cache, if that is known.
  RequestSpec &cached_tokens(std::uint64_t tokens) noexcept { return c_.cached_tokens = tokens, *this; }
  /// Tokens it is expected to generate.
  RequestSpec &output_tokens(std::uint64_t tokens) noexcept {
    c_.flags |= TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS;
    return c_.output_tokens = tokens, *this;
  }
  /// How long it may wait for its first start; without it the tier's holds.
  RequestSpec &queue_timeout(Duration timeout) noexcept {
    c_.flags |= TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT;
    return c_.queue_timeout_ns = timeout.count(), *this;
  }
  /// When its answer is wanted. It orders a tier; nothing is dropped for it.
  RequestSpec &deadline(Instant deadline) noexcept {
    c_.flags |= TIDEGATE_REQUEST_HAS_DEADLINE;
    return c_.deadline_ns = deadline.ns, *this;
  }
  /// Anything the host wants to find again in a journal; never read.
  RequestSpec &tag(std::uint64_t tag) noexcept { return c_.tag = tag, *this; }
};

/// What changes of a live request; what is not said stays.
class Amendment : public detail::Record<tidegate_amendment_t> {
public:
  Amendment() noexcept : Record(TIDEGATE_AMENDMENT_INIT) {}
  Amendment &demand(const Resources &units) noexcept {
    c_.flags |= TIDEGATE_AMEND_DEMAND;
    return set(units, c_.demand), *this;
  }
  Amendment &peak(const Resources &units) noexcept {
    c_.flags |= TIDEGATE_AMEND_PEAK;
    return set(units, c_.peak), *this;
  }
  Amendment &tier(TierId tier) noexcept {
    c_.flags |= TIDEGATE_AMEND_TIER;
    return c_.tier = tier.value, *this;
  }
  Amendment &deadline(Instant deadline) noexcept {
    c_.flags |= TIDEGATE_AMEND_DEADLINE;
    return c_.deadline_ns = deadline.ns, *this;
  }
};

/// How much of something comes in a period, and how much of it can be saved up: at first what comes in one period.
class Rate : public detail::Record<tidegate_rate_t> {
public:
  Rate(std::uint64_t amount, Duration period) noexcept : Record({amount, period.count(), amount}) {}
  static Rate per_second(std::uint64_t amount) noexcept { return {amount, std::chrono::seconds(1)}; }
  static Rate per_minute(std::uint64_t amount) noexcept { return {amount, std::chrono::minutes(1)}; }
  /// The most that is saved up.
  Rate &burst(std::uint64_t most) noexcept { return c_.burst = most, *this; }
};

/// What a tenant may do; its limits hold for all that is below it in the tree together. What is not said is no limit.
class TenantPolicy : public detail::Record<tidegate_tenant_policy_t> {
public:
  TenantPolicy() noexcept : Record(TIDEGATE_TENANT_POLICY_INIT) {}
  /// The tenant above it; without it, it stands at the top.
  TenantPolicy &parent(TenantId parent) noexcept {
    return flag(TIDEGATE_TENANT_HAS_PARENT).c_.parent = parent.value, *this;
  }
  /// Its part among the tenants of a tier; 1 if not said, 0 is served when nobody else wants.
  TenantPolicy &weight(std::uint32_t weight) noexcept { return c_.weight = weight, *this; }
  /// The most urgent tier that it may use.
  TenantPolicy &most_urgent(TierId tier) noexcept { return c_.most_urgent = tier.value, *this; }
  /// What becomes of a request that is over a limit; it waits if not said.
  TenantPolicy &over_quota(OverQuota then) noexcept { return c_.over_quota = number(then), *this; }
  /// Requests that may start per period.
  TenantPolicy &requests(const Rate &rate) noexcept {
    return flag(TIDEGATE_TENANT_HAS_REQUESTS).c_.requests = rate.c(), *this;
  }
  /// Tokens that may be used per period.
  TenantPolicy &tokens(const Rate &rate) noexcept {
    return flag(TIDEGATE_TENANT_HAS_TOKENS).c_.tokens = rate.c(), *this;
  }
  /// What comes in a period is shared with other replicas: it comes by LeaseWanted and lease_granted.
  TenantPolicy &leased() noexcept { return flag(TIDEGATE_TENANT_LEASED); }
  /// Units that may be in use at once; 0 is no limit.
  TenantPolicy &max_in_use(const Resources &units) noexcept { return set(units, c_.max_in_use), *this; }
  /// Requests that may run at once.
  TenantPolicy &max_running(std::uint64_t requests) noexcept {
    return flag(TIDEGATE_TENANT_HAS_MAX_RUNNING).c_.max_running = requests, *this;
  }
  /// Requests that may wait.
  TenantPolicy &queue_limit(std::uint64_t requests) noexcept {
    return flag(TIDEGATE_TENANT_HAS_QUEUE_LIMIT).c_.queue_limit = requests, *this;
  }
  /// Prompt and expected output tokens of the requests that may wait.
  TenantPolicy &queue_token_limit(std::uint64_t tokens) noexcept {
    return flag(TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT).c_.queue_token_limit = tokens, *this;
  }
  /// A request that needs more than a whole burst may start when the burst is full, and leave a debt.
  TenantPolicy &allow_when_full() noexcept { return flag(TIDEGATE_TENANT_ALLOW_WHEN_FULL); }

private:
  TenantPolicy &flag(std::uint32_t flag) noexcept { return c_.flags |= flag, *this; }
};

/// Anything that runs requests, of a pool and with units.
class WorkerSpec : public detail::Record<tidegate_worker_spec_t> {
public:
  WorkerSpec(PoolId pool, const Resources &capacity) noexcept : Record(TIDEGATE_WORKER_SPEC_INIT) {
    c_.pool = pool.value;
    set(capacity, c_.capacity);
  }
  /// How it shares its devices with others; dedicated if not said.
  WorkerSpec &kind(WorkerKind kind) noexcept { return c_.kind = number(kind), *this; }
  /// It stands by until another of its pool is lost by a fault, and then takes that one's place.
  WorkerSpec &spare() noexcept { return c_.flags |= TIDEGATE_WORKER_IS_SPARE, *this; }
  /// It stands in for a lost worker of its pool.
  WorkerSpec &replaces(WorkerId lost) noexcept {
    c_.flags |= TIDEGATE_WORKER_REPLACES;
    return c_.replaces = lost.value, *this;
  }
};

/// What fails as one, and may have less than its workers advertise.
class DeviceSpec : public detail::Record<tidegate_device_spec_t> {
public:
  DeviceSpec() noexcept : Record(TIDEGATE_DEVICE_SPEC_INIT) {}
  /// Units that all workers on it may use together; 0 is no limit.
  DeviceSpec &limit(const Resources &units) noexcept { return set(units, c_.limit), *this; }
  /// How much memory checkpoints made on it may take, in MiB; any amount if not said.
  DeviceSpec &checkpoint_mib(std::uint64_t mib) noexcept {
    c_.flags |= TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB;
    return c_.checkpoint_mib = mib, *this;
  }
};

/// How much of what is used on a worker is used on a device, in parts per million: 1000000 for a slice of one device.
class DevicePart : public detail::Record<tidegate_device_part_t> {
public:
  DevicePart(DeviceId device, std::uint32_t part_ppm) noexcept : Record({device.value, part_ppm}) {}
};

/// What one request on a worker reports of a step: as Scheduler::progress.
class StepException : public detail::Record<tidegate_step_exception_t> {
public:
  StepException(RequestId request, Attempt attempt, std::uint64_t output_tokens, const Resources &in_use) noexcept
      : Record({request.value, output_tokens, {0, 0, 0, 0}, attempt.value, {0, 0, 0}}) {
    set(in_use, c_.in_use);
  }
};

/// What a request used.
struct Usage {
  /// Tokens of the prompt, cached ones included.
  std::uint64_t prompt_tokens = 0;
  /// Tokens of the prompt that the engine found in its cache.
  std::uint64_t cached_tokens = 0;
  /// Tokens generated.
  std::uint64_t output_tokens = 0;

  tidegate_usage_t c() const noexcept {
    tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
    usage.prompt_tokens = prompt_tokens;
    usage.cached_tokens = cached_tokens;
    usage.output_tokens = output_tokens;
    return usage;
  }
};

/// The end of one request of many: as Scheduler::complete.
class Completion : public detail::Record<tidegate_completion_t> {
public:
  Completion(RequestId request, Attempt attempt, const Usage &usage) noexcept
      : Record({request.value, usage.prompt_tokens, usage.cached_tokens, usage.output_tokens, attempt.value,
                {0, 0, 0, 0, 0, 0, 0}}) {}
};

/// Tokens of a request's prompt: left to compute, or to compute in the next step.
class PromptLeft : public detail::Record<tidegate_prompt_left_t> {
public:
  PromptLeft() noexcept : Record({0, 0}) {}
  PromptLeft(RequestId request, std::uint64_t tokens) noexcept : Record({request.value, tokens}) {}
  RequestId request() const noexcept { return {c_.request}; }
  std::uint64_t tokens() const noexcept { return c_.tokens; }
};

/// Why a request is where it is.
struct Explanation {
  State state;
  Gate gate;
  /// Requests of its tier and pool that are offered a start before it.
  std::uint64_t ahead;
  /// When it may start, if starts of its tier go on as the last ones did.
  std::optional<Instant> starts_at;
  /// The pool where it waits or runs.
  PoolId pool;
  /// The other pools that may start it, in the order of its preference.
  std::vector<PoolId> other_pools;
};

/// Plain numbers, as tidegate.h describes them.
using Stats = tidegate_stats_t;
using TenantUsage = tidegate_tenant_usage_t;
using ShareWarning = tidegate_share_warning_t;
using ErrorNumbers = tidegate_error_t;

/// How many actions had this reason; 0 for one that the counters do not know.
inline std::uint64_t actions_with(const Stats &stats, Reason reason) noexcept {
  return number(reason) < TIDEGATE_STATS_REASONS ? stats.by_reason[number(reason)] : 0;
}

/// How many of a tenant's requests waited less than 2^bucket ms and not less than 2^(bucket - 1); in the last bucket,
/// all others.
inline Span<const std::uint64_t> queue_delays(const TenantUsage &usage) noexcept {
  return {usage.queue_delays, TIDEGATE_QUEUE_DELAY_BUCKETS};
}

/// Start the request on the worker. Answer with started, progress, declined, or an end.
struct Start {
  RequestId request;
  Attempt attempt;
  WorkerId worker;
  /// Tokens of context that the engine kept when it last stopped; 0 begins anew.
  std::uint64_t resume_tokens;
  Reason reason;
};

/// Stop the request. Answer with preempted, or with its end if it ended first.
struct Preempt {
  RequestId victim;
  Attempt attempt;
  Yield mode;
  /// The waiting request that needs the units; none under memory pressure.
  std::optional<RequestId> beneficiary;
  /// When Stuck follows if no answer came.
  Instant confirm_by;
  Reason reason;
};

/// A Preempt is taken back: go on if it has not stopped yet, else answer as to the Preempt.
struct Spare {
  RequestId victim;
  Attempt attempt;
  Reason reason;
};

/// Stop the running request and answer its client with an error; report failed when it stopped.
struct Abort {
  RequestId request;
  Attempt attempt;
  Reason reason;
};

/// The request has ended and runs nowhere; answer its client. Nothing is to be reported.
struct Drop {
  RequestId request;
  Reason reason;
};

/// The victim was not reported stopped in time; its units stay counted as used.
struct Stuck {
  RequestId victim;
  Attempt attempt;
  Reason reason;
};

/// Ask the store that replicas share, and answer with lease_granted. The same seq is the same wish, said again.
struct LeaseWanted {
  TenantId tenant;
  Quota limit;
  std::uint64_t seq;
  /// How many more are wanted.
  std::uint64_t tokens;
  /// How many go back; below zero, a debt.
  std::int64_t returned;
  Reason reason;
};

/// This worker went with another that the host said is lost: nothing runs there any more. Nothing is to be reported.
struct AlsoLost {
  WorkerId worker;
  /// The one whose fault took it along.
  WorkerId by;
  Reason reason;
};

/// A wish of a newer library that this header does not know: to be ignored.
struct UnknownAction {
  tidegate_action_t c;
};

/// One wish of the scheduler.
using Action = std::variant<Start, Preempt, Spare, Abort, Drop, Stuck, LeaseWanted, AlsoLost, UnknownAction>;

/// The action that a C record tells.
inline Action action_from(const tidegate_action_t &c) noexcept {
  const RequestId request{c.request};
  const Attempt attempt{c.attempt};
  const auto reason = static_cast<Reason>(c.reason);
  switch (c.kind) {
  case TIDEGATE_ACTION_START:
    return Start{request, attempt, {c.worker}, c.resume_tokens, reason};
  case TIDEGATE_ACTION_PREEMPT: {
    const auto beneficiary = c.beneficiary == 0 ? std::nullopt : std::optional(RequestId{c.beneficiary});
    return Preempt{request, attempt, static_cast<Yield>(c.mode), beneficiary, {c.confirm_by_ns}, reason};
  }
  case TIDEGATE_ACTION_SPARE:
    return Spare{request, attempt, reason};
  case TIDEGATE_ACTION_ABORT:
    return Abort{request, attempt, reason};
  case TIDEGATE_ACTION_DROP:
    return Drop{request, reason};
  case TIDEGATE_ACTION_STUCK:
    return Stuck{request, attempt, reason};
  case TIDEGATE_ACTION_LEASE_WANTED:
    return LeaseWanted{{c.tenant},      static_cast<Quota>(c.limit),                 c.beneficiary,
                       c.resume_tokens, static_cast<std::int64_t>(c.confirm_by_ns), reason};
  case TIDEGATE_ACTION_ALSO_LOST:
    return AlsoLost{{c.worker}, {static_cast<std::uint32_t>(c.beneficiary)}, reason};
  default:
    return UnknownAction{c};
  }
}

/// The word for what an action is.
inline const char *words(const Action &action) noexcept {
  constexpr std::array<std::uint32_t, 8> kinds = {
      TIDEGATE_ACTION_START, TIDEGATE_ACTION_PREEMPT, TIDEGATE_ACTION_SPARE,        TIDEGATE_ACTION_ABORT,
      TIDEGATE_ACTION_DROP,  TIDEGATE_ACTION_STUCK,   TIDEGATE_ACTION_LEASE_WANTED, TIDEGATE_ACTION_ALSO_LOST,
  };
  static_assert(kinds.size() + 1 == std::variant_size_v<Action>);
  const auto *unknown = std::get_if<UnknownAction>(&action);
  return tidegate_action_kind_str(unknown ? unknown->c.kind : kinds[action.index()]);
}

/// Calls the function that takes what an action, or an outcome, is:
///
///     tidegate::match(action, [&](const tidegate::Start &start) { engine.start(start); },
///                     [&](const tidegate::Preempt &preempt) { engine.stop(preempt); },
///                     [](const auto &) {});
template <class... Functions> struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <class... Functions> Overloaded(Functions...) -> Overloaded<Functions...>;
template <class... Kinds, class... Functions>
decltype(auto) match(const std::variant<Kinds...> &what, Functions &&...functions) {
  return std::visit(Overloaded{std::forward<Functions>(functions)...}, what);
}

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_RECORDS_HPP */
