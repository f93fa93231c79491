/* tidegate in C++17: handles that free themselves, results that have to be looked at, actions as a std::variant.
 * Header-only, over tidegate.h; link with libtidegate. It needs neither exceptions nor RTTI.
 *
 *     auto config = tidegate::Config::from_toml(text);
 *     if (!config) return complain(config.error().message);
 *     auto made = tidegate::Scheduler::create(*config, now);
 *     tidegate::Scheduler scheduler = std::move(made.value());
 *
 *     auto request = scheduler.submit(now, tidegate::RequestSpec(tenant, tier).demand({1, 40}).prompt_tokens(512));
 *     while (auto action = scheduler.poll(now).value())
 *       tidegate::match(*action, [&](const tidegate::Start &start) { engine.start(start); },
 *                       [&](const tidegate::Preempt &preempt) { engine.stop(preempt); }, [](const auto &) {});
 *
 * What a call does, and what answers what, is in the comment of its C function and in docs/GUIDE.md: `submit` is
 * tidegate_scheduler_submit.
 *
 * Units
 *
 *   Instants are nanoseconds of the host's monotonic clock, durations nanoseconds too (any std::chrono duration goes
 *   in). Resources are numbers in the order of the config's dimensions. Shares are in parts per million, tokens and
 *   requests are counts.
 *
 * Errors
 *
 *   A call gives a Result: a value, or a Status and a line of words. What is not ok changed nothing. value() and * of
 *   what is not ok end the program; where TIDEGATE_EXCEPTIONS is defined before the first include they throw
 *   tidegate::Failure. Nothing else here throws, but for what std::string and std::vector do without memory.
 *   A handle that was moved from answers Status::null_pointer.
 *
 * Threads
 *
 *   As in tidegate.h: const member functions may run side by side, every other needs the object for itself.
 */
#ifndef TIDEGATE_HPP
#define TIDEGATE_HPP

#include "tidegate/records.hpp"
#include "tidegate/result.hpp"
#include "tidegate/words.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// Whether the library at hand has the ABI that this header was written for. Ask once, at the start.
inline bool abi_matches() noexcept { return tidegate_abi_version() == TIDEGATE_ABI_VERSION; }

namespace detail {

struct Free {
  void operator()(tidegate_config_t *config) const noexcept { tidegate_config_free(config); }
  void operator()(tidegate_scheduler_t *scheduler) const noexcept { tidegate_scheduler_free(scheduler); }
};

/// A list of records or of words as the C functions take it: the same bytes.
template <class C, class Ours> C *as_c(Ours *list) noexcept {
  static_assert(sizeof(Ours) == sizeof(C) && alignof(Ours) == alignof(C) && std::is_standard_layout_v<Ours>);
  return reinterpret_cast<C *>(list);
}

/// The error of a call that left no words.
inline Error error_of(tidegate_status_t status) { return {Status{status}, words(Status{status})}; }

/// `value`, if the call that wrote it succeeded.
template <class T> Result<T> asked(tidegate_status_t status, T value) {
  if (status != TIDEGATE_STATUS_OK) return error_of(status);
  return value;
}

/// A text that a C function writes whole where there is room, and tells its length: asks for the length first.
/// Gives the status of the last call.
template <class Write> tidegate_status_t read_text(std::string &text, Write write) {
  std::size_t length = 0;
  const tidegate_status_t status = write(nullptr, 0, &length);
  if (length == 0) return status;
  text.resize(length);
  return write(text.data(), length + 1, &length);
}

} // namespace detail

/// A config, read and validated; it never changes.
class Config {
public:
  /// Reads TOML text. The error's message names every field at fault.
  static Result<Config> from_toml(std::string_view toml) { return read(tidegate_config_from_toml, toml); }
  /// Reads JSON text: one object with the same fields.
  static Result<Config> from_json(std::string_view json) { return read(tidegate_config_from_json, json); }

  Result<std::string> to_toml() const { return written(tidegate_config_to_toml); }
  Result<std::string> to_json() const { return written(tidegate_config_to_json); }

  Result<TierId> find_tier(std::string_view name) const { return found<TierId>(tidegate_config_find_tier, name); }
  Result<PoolId> find_pool(std::string_view name) const { return found<PoolId>(tidegate_config_find_pool, name); }
  Result<DimensionId> find_dimension(std::string_view name) const {
    return found<DimensionId>(tidegate_config_find_dimension, name);
  }

  /// For calls of tidegate.h; it stays this object's.
  const tidegate_config_t *c() const noexcept { return handle_.get(); }

private:
  explicit Config(tidegate_config_t *handle) noexcept : handle_(handle) {}

  template <class From> static Result<Config> read(From from, std::string_view text) {
    tidegate_config_t *handle = nullptr;
    Error error{Status::ok, {}};
    const auto status = detail::read_text(error.message, [&](char *buffer, std::size_t room, std::size_t *length) {
      return from(text.data(), text.size(), buffer, room, length, &handle);
    });
    if (status == TIDEGATE_STATUS_OK) return Config(handle);
    if (error.message.empty()) return detail::error_of(status);
    error.status = Status{status};
    return error;
  }
  template <class To> Result<std::string> written(To to) const {
    std::string text;
    const auto status = detail::read_text(text, [&](char *buffer, std::size_t room, std::size_t *length) {
      return to(c(), buffer, room, length);
    });
    return detail::asked(status, std::move(text));
  }
  template <class Id, class Find> Result<Id> found(Find find, std::string_view name) const {
    Id id;
    return detail::asked(find(c(), name.data(), name.size(), &id.value), id);
  }

  std::unique_ptr<tidegate_config_t, detail::Free> handle_;
};

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

  /// For calls of tidegate.h; it stays this object's.
  tidegate_scheduler_t *c() noexcept { return handle_.get(); }
  const tidegate_scheduler_t *c() const noexcept { return handle_.get(); }

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
    tidegate_usage_t used = TIDEGATE_USAGE_INIT;
    used.prompt_tokens = usage.prompt_tokens;
    used.cached_tokens = usage.cached_tokens;
    used.output_tokens = usage.output_tokens;
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
    return detail::asked(status, Explanation{static_cast<State>(told.state), static_cast<Gate>(told.gate), told.ahead,
                                             instant_or_none(told.starts_at_ns)});
  }
  /// How many requests of the tier wait in all pools.
  Result<std::uint64_t> queue_depth(TierId tier) const {
    std::uint64_t requests = 0;
    const auto status = tidegate_scheduler_queue_depth(c(), tier.value, &requests);
    return detail::asked(status, requests);
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
    std::size_t count = 0;
    auto status = tidegate_scheduler_share_warnings(c(), nullptr, 0, &count);
    if (status == TIDEGATE_STATUS_OK && count > 0) {
      warnings.resize(count);
      status = tidegate_scheduler_share_warnings(c(), warnings.data(), count, &count);
    }
    return detail::asked(status, std::move(warnings));
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
  Result<Stats> stats() const {
    Stats stats = TIDEGATE_STATS_INIT;
    const auto status = tidegate_scheduler_stats(c(), &stats);
    return detail::asked(status, stats);
  }
  /// Checks every named invariant, in time that grows with everything there is: for tests.
  Result<void> check_invariants() const {
    Error error{Status::ok, {}};
    const auto status = detail::read_text(error.message, [&](char *buffer, std::size_t room, std::size_t *length) {
      return tidegate_scheduler_check_invariants(c(), buffer, room, length);
    });
    if (status == TIDEGATE_STATUS_OK) return {};
    if (error.message.empty()) return detail::error_of(status);
    error.status = Status{status};
    return error;
  }
  /// The numbers of the last call that failed, of those that are not const: when to come again, which limit.
  Result<ErrorNumbers> last_error() const {
    ErrorNumbers error = TIDEGATE_ERROR_INIT;
    const auto status = tidegate_scheduler_last_error(c(), &error);
    return detail::asked(status, error);
  }

private:
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

#endif /* TIDEGATE_HPP */
