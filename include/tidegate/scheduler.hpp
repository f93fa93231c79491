/* tidegate in C++17: the scheduler. tidegate.hpp includes it. */
#ifndef TIDEGATE_SCHEDULER_HPP
#define TIDEGATE_SCHEDULER_HPP

#include "config.hpp"
#include "records.hpp"
#include "snapshot.hpp"

#include <array>
#include <optional>
#include <vector>

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// A scheduler with all its requests.
class Scheduler {
public:
  /// Makes one; it copies the config.
  static Result<Scheduler> create(const Config &config, Instant now) {
    tidegate_scheduler_t *handle = nullptr;
    const auto status = tidegate_scheduler_new(config.c(), now.ns, &handle);
    if (status != TIDEGATE_STATUS_OK) return detail::error_of(status);
    return Scheduler(handle);
  }

  /// Makes the one that a snapshot was taken of, which goes on as that would; under a config with other settings it is
  /// reconfigured. The host's clock must go on from now(). The error's message says what is wrong with the bytes.
  static Result<Scheduler> restore(const Config &config, Span<const std::uint8_t> bytes) {
    tidegate_scheduler_t *handle = nullptr;
    auto failure = detail::told([&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_restore(config.c(), bytes.data(), bytes.size(), buffer, room, length, &handle);
    });
    if (!failure) return failure.error();
    return Scheduler(handle);
  }
  /// All that it knows, its config too, as bytes.
  Result<Snapshot> snapshot() const {
    tidegate_snapshot_t *handle = nullptr;
    const auto status = tidegate_scheduler_snapshot(c(), &handle);
    if (status != TIDEGATE_STATUS_OK) return detail::error_of(status);
    return Snapshot(handle);
  }
  /// The latest instant of any call.
  Result<Instant> now() const {
    Instant at;
    return detail::asked(tidegate_scheduler_now(c(), &at.ns), at);
  }

  /// For calls of tidegate.h; it stays this object's.
  tidegate_scheduler_t *c() noexcept { return handle_.get(); }
  const tidegate_scheduler_t *c() const noexcept { return handle_.get(); }

  /// The config that it goes by.
  Result<Config> config() const {
    tidegate_config_t *handle = nullptr;
    const auto status = tidegate_scheduler_config(c(), &handle);
    if (status != TIDEGATE_STATUS_OK) return detail::error_of(status);
    return Config(handle);
  }

  // Rounds.

  /// Takes another config with the same dimensions, pools and tiers.
  Result<void> reconfigure(Instant now, const Config &config) {
    return done(tidegate_scheduler_reconfigure(c(), now.ns, config.c()));
  }

  /// The next action; none ends the round. Inputs may come between the actions of a round, and are heard.
  Result<std::optional<Action>> poll(Instant now) {
    tidegate_action_t action;
    std::size_t count = 0;
    const auto status = tidegate_scheduler_poll(c(), now.ns, &action, 1, &count);
    return done(status, count == 1 ? std::optional<Action>(action_from(action)) : std::nullopt);
  }

  /// Appends the actions of a whole round. Reserve the room once, and it allocates nothing.
  Result<void> poll_into(Instant now, std::vector<Action> &actions) {
    std::array<tidegate_action_t, 64> batch;
    std::size_t count = 0;
    do {
      const auto status = tidegate_scheduler_poll(c(), now.ns, batch.data(), batch.size(), &count);
      if (status != TIDEGATE_STATUS_OK) return failed_with(status);
      for (std::size_t action = 0; action < count; ++action) actions.push_back(action_from(batch[action]));
    } while (count == batch.size());
    return {};
  }

  /// When to poll again if nothing happens before; none if only an input can change anything.
  Result<std::optional<Instant>> poll_timeout() const {
    std::uint64_t at_ns = TIDEGATE_NEVER;
    const auto status = tidegate_scheduler_poll_timeout(c(), &at_ns);
    return detail::asked(status, instant_or_none(at_ns));
  }

  // Tenants.

  /// Makes a tenant known; the same name gives the same number again.
  Result<TenantId> tenant_set(Instant now, std::string_view name) {
    TenantId tenant;
    return done(tidegate_scheduler_tenant_set(c(), now.ns, name.data(), name.size(), &tenant.value), tenant);
  }
  Result<void> tenant_configure(Instant now, TenantId tenant, const TenantPolicy &policy) {
    return done(tidegate_scheduler_tenant_configure(c(), now.ns, tenant.value, &policy.c()));
  }
  Result<void> tenant_remove(Instant now, TenantId tenant) {
    return done(tidegate_scheduler_tenant_remove(c(), now.ns, tenant.value));
  }
  /// The store's answer to a LeaseWanted.
  Result<void> lease_granted(Instant now, const LeaseWanted &wanted, std::uint64_t tokens, Duration valid_for) {
    return done(tidegate_scheduler_lease_granted(c(), now.ns, wanted.tenant.value, number(wanted.limit), wanted.seq,
                                                 tokens, valid_for.count()));
  }

  // Devices and workers. Of what shrinks, `after` says how long use beyond it may last under Shrink::preempt.

  Result<DeviceId> device_add(Instant now, const DeviceSpec &spec) {
    DeviceId device;
    return done(tidegate_scheduler_device_add(c(), now.ns, &spec.c(), &device.value), device);
  }
  Result<void> device_resize(Instant now, DeviceId device, const Resources &limit, Shrink shrink = Shrink::drain,
                             Duration after = Duration::zero()) {
    return done(
        tidegate_scheduler_device_resize(c(), now.ns, device.value, limit.data(), number(shrink), after.count()));
  }
  Result<void> device_lost(Instant now, DeviceId device) {
    return done(tidegate_scheduler_device_lost(c(), now.ns, device.value));
  }
  /// A worker that is up, on the devices named; with none, it is a device of its own.
  Result<WorkerId> worker_add(Instant now, const WorkerSpec &spec, Span<const DevicePart> devices = {}) {
    WorkerId worker;
    const auto *parts = detail::as_c<const tidegate_device_part_t>(devices.data());
    return done(tidegate_scheduler_worker_add(c(), now.ns, &spec.c(), parts, devices.size(), &worker.value), worker);
  }
  Result<void> worker_resize(Instant now, WorkerId worker, const Resources &capacity, Shrink shrink = Shrink::drain,
                             Duration after = Duration::zero()) {
    return done(
        tidegate_scheduler_worker_resize(c(), now.ns, worker.value, capacity.data(), number(shrink), after.count()));
  }
  /// What the engine uses in all, whatever its requests add up to.
  Result<void> worker_usage(Instant now, WorkerId worker, const Resources &in_use) {
    return done(tidegate_scheduler_worker_usage(c(), now.ns, worker.value, in_use.data()));
  }
  /// A worker has these blocks of a prompt, from its beginning, in its cache, and used them just now.
  Result<void> cache_stored(Instant now, WorkerId worker, Span<const std::uint64_t> blocks) {
    return done(tidegate_scheduler_cache_stored(c(), now.ns, worker.value, blocks.data(), blocks.size()));
  }
  /// A worker threw these blocks out of its cache.
  Result<void> cache_evicted(Instant now, WorkerId worker, Span<const std::uint64_t> blocks) {
    return done(tidegate_scheduler_cache_evicted(c(), now.ns, worker.value, blocks.data(), blocks.size()));
  }
  /// A whole engine step: every request on the worker that has reported before generated `tokens_each` tokens, but
  /// those in `exceptions`.
  Result<void> step(Instant now, WorkerId worker, std::uint64_t tokens_each,
                    Span<const StepException> exceptions = {}) {
    const auto *list = detail::as_c<const tidegate_step_exception_t>(exceptions.data());
    return done(tidegate_scheduler_step(c(), now.ns, worker.value, tokens_each, list, exceptions.size()));
  }
  Result<void> worker_drain(Instant now, WorkerId worker) {
    return done(tidegate_scheduler_worker_drain(c(), now.ns, worker.value));
  }
  Result<void> worker_lost(Instant now, WorkerId worker) {
    return done(tidegate_scheduler_worker_lost(c(), now.ns, worker.value));
  }

  // Requests, and what the engine reports of them.

  Result<RequestId> submit(Instant now, const RequestSpec &spec) {
    RequestId request;
    return done(tidegate_scheduler_submit(c(), now.ns, &spec.c(), &request.value), request);
  }
  /// The blocks of a waiting request's prompt, from its beginning: it goes where they are cached.
  Result<void> prefix_set(Instant now, RequestId request, Span<const std::uint64_t> blocks) {
    return done(tidegate_scheduler_prefix_set(c(), now.ns, request.value, blocks.data(), blocks.size()));
  }
  Result<void> amend(Instant now, RequestId request, const Amendment &amendment) {
    return done(tidegate_scheduler_amend(c(), now.ns, request.value, &amendment.c()));
  }
  Result<void> cancel(Instant now, RequestId request) {
    return done(tidegate_scheduler_cancel(c(), now.ns, request.value));
  }
  Result<void> started(Instant now, RequestId request, Attempt attempt, std::uint64_t cached_tokens,
                       const Resources &in_use) {
    return done(
        tidegate_scheduler_started(c(), now.ns, request.value, attempt.value, cached_tokens, in_use.data()));
  }
  Result<void> declined(Instant now, RequestId request, Attempt attempt, Decline why) {
    return done(tidegate_scheduler_declined(c(), now.ns, request.value, attempt.value, number(why)));
  }
  /// It has generated `output_tokens` so far, and holds `in_use` now.
  Result<void> progress(Instant now, RequestId request, Attempt attempt, std::uint64_t output_tokens,
                        const Resources &in_use) {
    return done(
        tidegate_scheduler_progress(c(), now.ns, request.value, attempt.value, output_tokens, in_use.data()));
  }
  /// It runs no more, and can go on later from `tokens_kept` tokens of context.
  Result<void> preempted(Instant now, RequestId request, Attempt attempt, std::uint64_t tokens_kept = 0) {
    return done(tidegate_scheduler_preempted(c(), now.ns, request.value, attempt.value, tokens_kept, 0));
  }
  /// As preempted, but its units come free later, with released.
  Result<void> preempted_and_releasing(Instant now, RequestId request, Attempt attempt, std::uint64_t tokens_kept = 0) {
    return done(tidegate_scheduler_preempted(c(), now.ns, request.value, attempt.value, tokens_kept, 1));
  }
  Result<void> released(Instant now, RequestId request, Attempt attempt) {
    return done(tidegate_scheduler_released(c(), now.ns, request.value, attempt.value));
  }
  Result<void> complete(Instant now, RequestId request, Attempt attempt, const Usage &usage) {
    const auto used = usage.c();
    return done(tidegate_scheduler_complete(c(), now.ns, request.value, attempt.value, &used));
  }
  Result<void> failed(Instant now, RequestId request, Attempt attempt) {
    return done(tidegate_scheduler_failed(c(), now.ns, request.value, attempt.value));
  }

  // Many requests at once. The result is that of the call; that of each item stands in `statuses`, which has room for
  // all or is empty.

  /// `requests` has room for all: each gets its id, 0 if it was refused.
  Result<void> submit_many(Instant now, Span<const RequestSpec> specs, Span<RequestId> requests,
                           Span<Status> statuses = {}) {
    if (requests.size() < specs.size() || too_few(statuses, specs.size()))
      return detail::error_of(TIDEGATE_STATUS_OUT_OF_RANGE);
    return done(tidegate_scheduler_submit_many(
        c(), now.ns, detail::as_c<const tidegate_request_spec_t>(specs.data()), specs.size(),
        detail::as_c<std::uint64_t>(requests.data()), detail::as_c<std::uint32_t>(statuses.data())));
  }
  Result<void> complete_many(Instant now, Span<const Completion> completions, Span<Status> statuses = {}) {
    if (too_few(statuses, completions.size())) return detail::error_of(TIDEGATE_STATUS_OUT_OF_RANGE);
    return done(tidegate_scheduler_complete_many(
        c(), now.ns, detail::as_c<const tidegate_completion_t>(completions.data()), completions.size(),
        detail::as_c<std::uint32_t>(statuses.data())));
  }

  // Questions; they change nothing.

  Result<State> state(RequestId request) const {
    std::uint32_t state = 0;
    const auto status = tidegate_scheduler_state(c(), request.value, &state);
    return detail::asked(status, static_cast<State>(state));
  }
  Result<Explanation> explain(RequestId request) const {
    tidegate_explanation_t told = TIDEGATE_EXPLANATION_INIT;
    const auto status = tidegate_scheduler_explain(c(), request.value, &told);
    std::vector<PoolId> others;
    for (std::uint32_t nth = 0; nth < told.other_pools_count; nth++) {
      others.push_back({told.other_pools[nth]});
    }
    return detail::asked(status, Explanation{static_cast<State>(told.state), static_cast<Gate>(told.gate), told.ahead,
                                             instant_or_none(told.starts_at_ns), {told.pool}, std::move(others)});
  }
  /// How many requests of the tier wait in all pools.
  Result<std::uint64_t> queue_depth(TierId tier) const {
    std::uint64_t requests = 0;
    const auto status = tidegate_scheduler_queue_depth(c(), tier.value, &requests);
    return detail::asked(status, requests);
  }
  /// Until when a worker is kept out that replaces one that was lost again and again; none of one that nothing keeps out.
  Result<std::optional<Instant>> kept_out_until(WorkerId worker) const {
    std::uint64_t until_ns = TIDEGATE_NEVER;
    const auto status = tidegate_scheduler_kept_out_until(c(), worker.value, &until_ns);
    return detail::asked(status, instant_or_none(until_ns));
  }
  Result<Resources> effective_reserve(PoolId pool, TierId tier) const {
    return units(tidegate_scheduler_effective_reserve, pool, tier);
  }
  Result<Resources> in_use(PoolId pool, TierId tier) const { return units(tidegate_scheduler_in_use, pool, tier); }
  Result<Resources> waiting_demand(PoolId pool, TierId tier) const {
    return units(tidegate_scheduler_waiting_demand, pool, tier);
  }
  Result<std::vector<ShareWarning>> share_warnings() const {
    std::vector<ShareWarning> warnings;
    for (;;) {
      std::size_t count = 0;
      const auto status = tidegate_scheduler_share_warnings(c(), warnings.data(), warnings.size(), &count);
      const bool whole = count <= warnings.size();
      warnings.resize(count);
      if (whole) return detail::asked(status, std::move(warnings));
    }
  }
  /// How an engine that computes at most `tokens` tokens a step should split its next one. `plan` has room for all
  /// prompts and may be the same list; the result is how many were written.
  Result<std::size_t> step_plan(WorkerId worker, std::uint64_t tokens, Span<const PromptLeft> prompts,
                                Span<PromptLeft> plan) const {
    if (plan.size() < prompts.size()) return detail::error_of(TIDEGATE_STATUS_OUT_OF_RANGE);
    std::size_t count = 0;
    const auto status = tidegate_scheduler_step_plan(
        c(), worker.value, tokens, detail::as_c<const tidegate_prompt_left_t>(prompts.data()), prompts.size(),
        detail::as_c<tidegate_prompt_left_t>(plan.data()), &count);
    return detail::asked(status, count);
  }
  Result<TenantUsage> usage(TenantId tenant) const {
    TenantUsage usage = TIDEGATE_TENANT_USAGE_INIT;
    const auto status = tidegate_scheduler_usage(c(), tenant.value, &usage);
    return detail::asked(status, usage);
  }
  /// What of it is of one tier, as it will be at an instant if nothing is told before.
  Result<TenantUsage> usage_by_tier(TenantId tenant, TierId tier, Instant at) const {
    TenantUsage usage = TIDEGATE_TENANT_USAGE_INIT;
    const auto status = tidegate_scheduler_usage_by_tier(c(), tenant.value, tier.value, at.ns, &usage);
    return detail::asked(status, usage);
  }
  /// All metrics as text; the first `tenants` that have a policy of their own are named.
  Result<std::string> metrics(MetricsFormat format = MetricsFormat::open_metrics, std::size_t tenants = 100) const {
    return detail::text_of([&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_metrics(c(), static_cast<std::uint32_t>(format), tenants, buffer, room, length);
    });
  }
  Result<Stats> stats() const {
    Stats stats = TIDEGATE_STATS_INIT;
    const auto status = tidegate_scheduler_stats(c(), &stats);
    return detail::asked(status, stats);
  }
  /// Checks every named invariant, in time that grows with everything there is: for tests.
  Result<void> check_invariants() const {
    return detail::told([&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_check_invariants(c(), buffer, room, length);
    });
  }
  /// Answers as JSON, with words instead of numbers.
  Result<std::string> explain_json(RequestId request) const {
    return detail::text_of([&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_explain_json(c(), request.value, buffer, room, length);
    });
  }
  Result<std::string> usage_json(TenantId tenant) const {
    return detail::text_of([&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_usage_json(c(), tenant.value, buffer, room, length);
    });
  }
  Result<std::string> stats_json() const {
    return detail::text_of([&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_stats_json(c(), buffer, room, length);
    });
  }
  /// The numbers of the last call that failed, of those that are not const: when to come again, which limit.
  Result<ErrorNumbers> last_error() const {
    ErrorNumbers error = TIDEGATE_ERROR_INIT;
    const auto status = tidegate_scheduler_last_error(c(), &error);
    return detail::asked(status, error);
  }

private:
  friend class Shared;

  explicit Scheduler(tidegate_scheduler_t *handle) noexcept : handle_(handle) {}

  /// The error of a call that was not const: in the handle's words, if there is a handle.
  Error failed_with(tidegate_status_t status) const {
    Error error{Status{status}, {}};
    detail::read_text(error.message, [&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_last_error_message(c(), buffer, room, length);
    });
    return error.message.empty() ? detail::error_of(status) : error;
  }
  Result<void> done(tidegate_status_t status) const {
    if (status != TIDEGATE_STATUS_OK) return failed_with(status);
    return {};
  }
  template <class T> Result<T> done(tidegate_status_t status, const T &value) const {
    if (status != TIDEGATE_STATUS_OK) return failed_with(status);
    return value;
  }
  template <class Ask> Result<Resources> units(Ask ask, PoolId pool, TierId tier) const {
    Resources units{};
    const auto status = ask(c(), pool.value, tier.value, units.data());
    return detail::asked(status, units);
  }
  static std::optional<Instant> instant_or_none(std::uint64_t at_ns) noexcept {
    return at_ns == TIDEGATE_NEVER ? std::nullopt : std::optional(Instant{at_ns});
  }
  static bool too_few(Span<Status> statuses, std::size_t items) noexcept {
    return !statuses.empty() && statuses.size() < items;
  }

  std::unique_ptr<tidegate_scheduler_t, detail::Free> handle_;
};

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_SCHEDULER_HPP */
