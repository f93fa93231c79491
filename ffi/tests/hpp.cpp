/* Every member of tidegate.hpp does what its C function does. Called with an argument, it takes the value of an error,
 * which ends it. With hpp_throws.cpp beside it, WITH_THROWS is defined. */
#include "tidegate.hpp"

#include <cstdio>
#include <cstring>
#include <unordered_map>

using namespace std::chrono_literals;
using namespace tidegate;

#define EXPECT(condition) expect((condition) ? true : false, #condition, __LINE__)

#ifdef WITH_THROWS
bool value_throws();
#endif

namespace {

void expect(bool holds, const char *condition, int line) {
  if (holds) return;
  std::fprintf(stderr, "hpp.cpp:%d: does not hold: %s\n", line, condition);
  std::exit(1);
}

constexpr const char *TOML = "dimensions = ['slots', 'blocks']\nmin_run = '1s'\npools = ['gpus', 'others']\n"
                             "[[tiers]]\nname = 'realtime'\nreserve_ppm = 500000\n"
                             "[[tiers]]\nname = 'batch'\n";

constexpr TierId REALTIME{0};
constexpr TierId BATCH{1};
constexpr PoolId GPUS{0};

static_assert(!std::is_copy_constructible_v<Scheduler> && std::is_nothrow_move_constructible_v<Scheduler>);
static_assert(!std::is_copy_constructible_v<Config> && std::is_nothrow_move_assignable_v<Config>);
struct LongerSpec : RequestSpec {
  std::uint64_t more;
};
static_assert(std::is_convertible_v<std::vector<RequestSpec> &, Span<const RequestSpec>>);
static_assert(!std::is_convertible_v<std::vector<LongerSpec> &, Span<const RequestSpec>>, "every second would be cut");
static_assert(!std::is_convertible_v<WorkerId, TenantId> && !std::is_convertible_v<TierId, std::uint32_t>);

/// A scheduler with one worker of two slots, and a tenant.
struct Host {
  Scheduler scheduler;
  Instant now{};
  TenantId tenant{};
  WorkerId worker{};

  explicit Host(const char *toml = TOML, const Resources &capacity = {2, 100})
      : scheduler(*Scheduler::create(*Config::from_toml(toml), {})) {
    tenant = *scheduler.tenant_set(now, "acme");
    worker = *scheduler.worker_add(now, WorkerSpec(GPUS, capacity));
  }
  RequestSpec spec(TierId tier) const { return RequestSpec(tenant, tier).demand({1, 10}).prompt_tokens(16); }
  RequestId submit(TierId tier) { return *scheduler.submit(now, spec(tier)); }
  /// The one action of the next poll.
  template <class Wanted> Wanted take(int line = __builtin_LINE()) {
    const auto action = *scheduler.poll(now);
    expect(action && std::holds_alternative<Wanted>(*action), "the action is another, or none", line);
    return *std::get_if<Wanted>(&*action);
  }
  void quiet() { EXPECT(!*scheduler.poll(now)); }
  std::uint64_t depth(TierId tier) const { return *scheduler.queue_depth(tier); }
};

void configs() {
  auto config = Config::from_toml(TOML);
  EXPECT(config.ok() && config.status() == Status::ok);
  const std::string toml = *config->to_toml();
  EXPECT(*Config::from_toml(toml)->to_toml() == toml);
  const std::string json = *config->to_json();
  EXPECT(json.front() == '{' && std::strlen(json.c_str()) == json.size());
  EXPECT(*Config::from_json(json)->to_toml() == toml);
  EXPECT(*config->find_tier("batch") == BATCH && *config->find_pool("gpus") == GPUS);
  EXPECT((*config->find_dimension("blocks") == DimensionId{1}));
  EXPECT(config->find_tier("nobody").status() == Status::unknown_tier);
  EXPECT(config->find_tier(std::string_view()).error().message == words(Status::unknown_tier));

  const auto wrong = Config::from_toml("dimensions = ['a', 'a']\nmin_run = 'soon'\n");
  EXPECT(!wrong && wrong.status() == Status::config_invalid);
  EXPECT(wrong.error().message.find("min_run") != std::string::npos);
  EXPECT(std::strlen(wrong.error().message.c_str()) == wrong.error().message.size());
  EXPECT(Config::from_json("[]").status() == Status::config_invalid);
  const auto no_text = Config::from_toml("\xff");
  EXPECT(no_text.status() == Status::invalid_utf8 && no_text.error().message == words(Status::invalid_utf8));

  EXPECT(*config->tier_name(BATCH) == "batch" && *config->pool_name(GPUS) == "gpus");
  EXPECT((*config->dimension_name({1}) == "blocks"));
  EXPECT((config->dimension_name({2}).status() == Status::unknown_dimension));

  const Config moved = std::move(*config);
  EXPECT(moved.to_toml().ok() && config->to_toml().status() == Status::null_pointer);
}

void builders() {
  ConfigBuilder builder;
  builder.text("dimensions[0]", "slots").text("tiers[0].name", "realtime").number("tiers[0].reserve_ppm", 300000);
  builder.duration("min_run", 2s).truth("displace", false).text("tiers[1].name", "batch");
  const auto config = *builder.build();
  const auto text = Config::from_toml("dimensions = ['slots']\nmin_run = '2s'\ndisplace = false\n"
                                      "[[tiers]]\nname = 'realtime'\nreserve_ppm = 300000\n"
                                      "[[tiers]]\nname = 'batch'\n");
  EXPECT(*config.to_toml() == *text->to_toml());

  builder.number("tiers[0].reserve_ppm", 3000000);
  EXPECT(builder.build().status() == Status::config_invalid);
  EXPECT(builder.build().error().message.find("reserve_ppm") != std::string::npos);
  const auto wrong = builder.number("tiers[", 1).number("tiers]", 2).build();
  EXPECT(wrong.status() == Status::out_of_range && wrong.error().message.rfind("tiers[: ", 0) == 0);

  const ConfigBuilder moved = std::move(builder);
  EXPECT(moved.build().error().message == wrong.error().message);
  EXPECT(builder.build().status() == Status::null_pointer);
}

/// Two batch requests borrow a worker; an urgent one comes, and one has to yield.
void reclaims() {
  Host host;
  const auto first = host.submit(BATCH);
  host.take<Start>();
  const auto victim_id = host.submit(BATCH);
  const auto second = host.take<Start>();
  EXPECT(second.request == victim_id && second.worker == host.worker && second.resume_tokens == 0);
  EXPECT(second.reason == Reason::borrowed && second.attempt != Attempt{});
  EXPECT(host.scheduler.started(host.now, first, {1}, 4, {1, 10}).ok());

  host.now = host.now + 2s;
  const auto urgent = *host.scheduler.submit(host.now, host.spec(REALTIME).yielding(Yield::never).output_tokens(8));
  const auto preempt = host.take<Preempt>();
  EXPECT(preempt.victim == victim_id && preempt.beneficiary == urgent && preempt.reason == Reason::reclaim);
  EXPECT(preempt.mode == Yield::restart && host.now < preempt.confirm_by);
  EXPECT(*host.scheduler.state(victim_id) == State::preempting);
  const auto waits = *host.scheduler.explain(urgent);
  EXPECT(waits.state == State::queued && waits.gate == Gate::claim && waits.ahead == 0);
  EXPECT(host.scheduler.explain_json(urgent)->find(words(Gate::claim)) != std::string::npos);
  EXPECT(host.scheduler.preempted_and_releasing(host.now, victim_id, preempt.attempt, 0).ok());
  host.quiet();
  EXPECT(host.scheduler.released(host.now, victim_id, preempt.attempt).ok());
  const auto start = host.take<Start>();
  EXPECT(start.request == urgent && start.reason == Reason::reclaimed);
  EXPECT(!host.scheduler.explain(urgent)->starts_at);
  EXPECT(host.scheduler.complete(host.now, urgent, start.attempt, {16, 4, 8}).ok());
  host.quiet(); // the tier keeps what it used for the hold window
  host.now = host.now + 60s;
  EXPECT(host.take<Start>().request == victim_id);
  EXPECT(host.scheduler.failed(host.now, first, {1}).ok());
  EXPECT(host.scheduler.cancel(host.now, victim_id).ok());

  const auto stats = *host.scheduler.stats();
  EXPECT(stats.submitted == 3 && stats.completed == 1 && stats.failed == 1 && stats.cancelled == 1);
  EXPECT(actions_with(stats, Reason::reclaim) == 1 && actions_with(stats, static_cast<Reason>(999)) == 0);
  EXPECT(host.scheduler.stats_json()->find("\"completed\"") != std::string::npos);
  EXPECT(host.scheduler.usage_json(host.tenant)->find("\"preemptions\"") != std::string::npos);
  const auto usage = *host.scheduler.usage(host.tenant);
  EXPECT(usage.preemptions == 1 && usage.prompt_tokens >= 16 && usage.started == 3);
  EXPECT(queue_delays(usage).size() == TIDEGATE_QUEUE_DELAY_BUCKETS && queue_delays(usage)[0] == 3);
  const auto batch = *host.scheduler.usage_by_tier(host.tenant, BATCH, host.now);
  EXPECT(batch.preemptions == 1 && batch.submitted == 2);
  EXPECT(host.scheduler.metrics()->find("tidegate_preemptions_total{") != std::string::npos);
  EXPECT(host.scheduler.metrics(MetricsFormat::prometheus)->find("# EOF") == std::string::npos);
  EXPECT(std::string(content_type(MetricsFormat::open_metrics)).find("openmetrics") != std::string::npos);
  EXPECT(host.scheduler.check_invariants().ok());
}

/// Who is no longer needed is spared, and who is not confirmed in time is stuck.
void answers() {
  Host host;
  std::unordered_map<RequestId, Attempt> running;
  for (int request = 0; request < 2; ++request) {
    host.submit(BATCH);
    const auto start = host.take<Start>();
    running[start.request] = start.attempt;
    EXPECT(host.scheduler.progress(host.now, start.request, start.attempt, 1, {1, 10}).ok());
  }
  host.now = host.now + 2s;
  auto urgent = host.submit(REALTIME);
  const auto preempt = host.take<Preempt>();
  EXPECT(running.at(preempt.victim) == preempt.attempt);
  EXPECT(host.scheduler.cancel(host.now, urgent).ok());
  EXPECT(host.take<Spare>().victim == preempt.victim);

  urgent = host.submit(REALTIME);
  const auto again = host.take<Preempt>();
  const auto wake = *host.scheduler.poll_timeout();
  EXPECT(wake && *wake <= again.confirm_by);
  host.now = again.confirm_by;
  const auto stuck = host.take<Stuck>();
  EXPECT(stuck.victim == again.victim && stuck.attempt == again.attempt && stuck.reason == Reason::unconfirmed);
  EXPECT(host.scheduler.preempted(host.now, again.victim, again.attempt, 17).ok());
  EXPECT(*host.scheduler.state(again.victim) == State::queued);
}

void drops() {
  Host host;
  EXPECT(host.scheduler.worker_drain(host.now, host.worker).ok());
  const auto late = *host.scheduler.submit(host.now, host.spec(BATCH).queue_timeout(1ms).tag(7));
  host.quiet();
  host.now = host.now + 1ms;
  const auto drop = host.take<Drop>();
  EXPECT(drop.request == late && drop.reason == Reason::queue_timeout);
  EXPECT(host.scheduler.state(late).status() == Status::already_terminal);
}

/// A request that runs alone outgrows its worker, and no other can hold it: it is aborted.
void memory() {
  Host host;
  const auto request = host.submit(BATCH);
  const auto start = host.take<Start>();
  EXPECT(host.scheduler.step(host.now, host.worker, 1).ok());
  const StepException grown(request, start.attempt, 2, {1, 101});
  EXPECT(host.scheduler.step(host.now, host.worker, 1, {{grown}}).ok());
  const auto abort = host.take<Abort>();
  EXPECT(abort.request == request && abort.attempt == start.attempt && abort.reason == Reason::never_fits);
  EXPECT(host.scheduler.failed(host.now, request, abort.attempt).ok());
}

void fleets() {
  Host host;
  auto &scheduler = host.scheduler;
  const auto device = *scheduler.device_add(host.now, DeviceSpec().limit({4, 50}).checkpoint_mib(64));
  const auto other = *scheduler.device_add(host.now, DeviceSpec());
  const DevicePart half(device, 500000);
  const auto worker = *scheduler.worker_add(host.now, WorkerSpec(GPUS, {4, 40}), {{half, DevicePart(other, 500000)}});
  EXPECT(worker != host.worker);
  EXPECT(scheduler.worker_add(host.now, WorkerSpec(GPUS, {1, 1}), {{half, half}}).status() == Status::bad_part);
  const auto client = WorkerSpec(GPUS, {1, 1}).kind(WorkerKind::mps).spare();
  const auto spare = *scheduler.worker_add(host.now, client);
  EXPECT(scheduler.worker_add(host.now, WorkerSpec(client).replaces(spare)).status() == Status::not_lost);
  EXPECT(scheduler.worker_lost(host.now, spare).ok());
  const auto back = *scheduler.worker_add(host.now, WorkerSpec(client).replaces(spare));
  EXPECT(*scheduler.kept_out_until(back) == std::nullopt);
  EXPECT(scheduler.kept_out_until(WorkerId{99}).status() == Status::unknown_worker);
  EXPECT(scheduler.worker_lost(host.now, back).ok());
  const auto again = *scheduler.worker_add(host.now, WorkerSpec(client).replaces(back));
  EXPECT(*scheduler.kept_out_until(again) == Instant{host.now.ns + 10000000000});
  EXPECT(scheduler.worker_drain(host.now, again).ok());
  const auto server = *scheduler.device_add(host.now, DeviceSpec());
  const auto first = *scheduler.worker_add(host.now, WorkerSpec(GPUS, {1, 1}).kind(WorkerKind::mps), {{DevicePart(server, 1000000)}});
  const auto second = *scheduler.worker_add(host.now, WorkerSpec(GPUS, {1, 1}).kind(WorkerKind::mps), {{DevicePart(server, 1000000)}});
  EXPECT(scheduler.worker_lost(host.now, first).ok());
  const auto gone = host.take<AlsoLost>();
  EXPECT(gone.worker == second && gone.by == first && gone.reason == Reason::worker_lost);
  EXPECT(scheduler.device_resize(host.now, device, {4, 60}).ok());
  EXPECT(scheduler.device_resize(host.now, device, {4, 50}, Shrink::preempt, 1s).ok());
  EXPECT(scheduler.worker_resize(host.now, worker, {3, 40}).ok());
  EXPECT((*scheduler.effective_reserve(GPUS, REALTIME))[1] == 70);
  EXPECT(scheduler.worker_usage(host.now, worker, {0, 0}).ok());
  EXPECT(scheduler.worker_drain(host.now, host.worker).ok());
  const std::array<std::uint64_t, 2> blocks{11, 12};
  EXPECT(scheduler.cache_stored(host.now, worker, {blocks.data(), blocks.size()}).ok());
  EXPECT(scheduler.cache_evicted(host.now, worker, {blocks.data(), 1}).ok());

  const auto request = host.submit(REALTIME);
  EXPECT(scheduler.prefix_set(host.now, request, {blocks.data(), blocks.size()}).ok());
  EXPECT((*scheduler.waiting_demand(GPUS, REALTIME) == Resources{1, 10}));
  const auto start = host.take<Start>();
  EXPECT(start.worker == worker && (*scheduler.in_use(GPUS, REALTIME) == Resources{1, 10}));
  EXPECT(scheduler.explain(request)->pool == GPUS && scheduler.explain(request)->other_pools.empty());
  EXPECT(scheduler.declined(host.now, request, start.attempt, Decline::no_room).ok());
  EXPECT(*scheduler.state(request) == State::queued);
  EXPECT(scheduler.device_lost(host.now, device).ok());
  EXPECT(scheduler.worker_lost(host.now, host.worker).ok());
  host.quiet();
  EXPECT(*scheduler.state(request) == State::parked && host.depth(REALTIME) == 1);
  EXPECT(scheduler.share_warnings()->empty());

  // Near the end of all time a back-off has no end: another answer than of one that nothing keeps out.
  const Instant late{TIDEGATE_NEVER - 2};
  const WorkerSpec one(GPUS, {1, 1});
  const auto flaps = *scheduler.worker_add(late, one);
  EXPECT(scheduler.worker_lost(late, flaps).ok());
  const auto twice = *scheduler.worker_add(late, WorkerSpec(one).replaces(flaps));
  EXPECT(scheduler.worker_lost(late, twice).ok());
  const auto out = *scheduler.worker_add(late, WorkerSpec(one).replaces(twice));
  EXPECT(*scheduler.kept_out_until(out) == Instant{TIDEGATE_NEVER - 1});
}

void shares() {
  Host host("dimensions = ['slots']\n[[tiers]]\nname = 'realtime'\nreserve_ppm = 500000\n[[tiers]]\nname = 'batch'\n",
            {2});
  EXPECT(host.scheduler.worker_resize(host.now, host.worker, {1}).ok());
  const auto warnings = *host.scheduler.share_warnings();
  EXPECT(warnings.size() == 1 && warnings[0].asked_ppm == 500000 && warnings[0].effective_ppm == 1000000);
}

void batches() {
  Host host;
  const RequestSpec specs[] = {host.spec(BATCH), RequestSpec(host.tenant, BATCH).demand({3, 0}), host.spec(REALTIME)};
  RequestId requests[3];
  Status statuses[3];
  EXPECT(host.scheduler.submit_many(host.now, specs, requests, statuses).ok());
  EXPECT(statuses[0] == Status::ok && statuses[1] == Status::never_fits && statuses[2] == Status::ok);
  EXPECT(requests[0] != RequestId{} && requests[1] == RequestId{} && requests[2] != RequestId{});
  std::vector<RequestId> room(2);
  EXPECT(host.scheduler.submit_many(host.now, specs, room).status() == Status::out_of_range);
  room.resize(3);
  EXPECT(host.scheduler.submit_many(host.now, specs, room, {statuses, 1}).status() == Status::out_of_range);
  EXPECT(host.depth(BATCH) == 1);

  std::vector<Action> actions;
  EXPECT(host.scheduler.poll_into(host.now, actions).ok());
  std::vector<Completion> completions;
  for (const auto &action : actions)
    match(action, [&](const Start &start) { completions.emplace_back(start.request, start.attempt, Usage{16, 0, 2}); },
          [](const auto &) { expect(false, "only starts", __LINE__); });
  EXPECT(completions.size() == 2);

  const PromptLeft prompts[] = {{requests[0], 30}, {requests[2], 30}};
  PromptLeft plan[2];
  EXPECT(*host.scheduler.step_plan(host.worker, 40, prompts, plan) == 2);
  EXPECT(plan[1].request() == requests[2] && plan[1].tokens() == 30 && plan[0].tokens() == 10);
  EXPECT(host.scheduler.step_plan(host.worker, 40, prompts, {}).status() == Status::out_of_range);

  completions.emplace_back(RequestId{77}, Attempt{1}, Usage{});
  EXPECT(host.scheduler.complete_many(host.now, completions, {statuses, 2}).status() == Status::out_of_range);
  EXPECT(host.scheduler.complete_many(host.now, completions, statuses).ok());
  EXPECT(statuses[1] == Status::ok && statuses[2] == Status::unknown_request);
  EXPECT(host.scheduler.stats()->completed == 2);
}

/// A round with more actions than poll_into takes at a time comes whole.
void long_rounds() {
  Host host;
  EXPECT(host.scheduler.worker_resize(host.now, host.worker, {200, 2000}).ok());
  const std::vector<RequestSpec> specs(130, host.spec(BATCH));
  std::vector<RequestId> requests(specs.size());
  EXPECT(host.scheduler.submit_many(host.now, specs, requests).ok());
  std::vector<Action> actions;
  EXPECT(host.scheduler.poll_into(host.now, actions).ok() && actions.size() == 130);
}

void tenants() {
  Host host;
  auto &scheduler = host.scheduler;
  const auto team = *scheduler.tenant_set(host.now, "team");
  auto policy = TenantPolicy()
                    .parent(host.tenant)
                    .weight(3)
                    .requests(Rate::per_second(100))
                    .tokens(Rate(60, 1min).burst(20))
                    .over_quota(OverQuota::reject)
                    .max_in_use({2, 0})
                    .max_running(2)
                    .queue_limit(5)
                    .queue_token_limit(1000);
  EXPECT(policy.c().tokens.period_ns == 60'000'000'000 && policy.c().requests.burst == 100);
  EXPECT(scheduler.tenant_configure(host.now, team, policy).ok());
  const auto spec = RequestSpec(team, BATCH).demand({1, 1}).prompt_tokens(15).output_tokens(5);
  const auto request = *scheduler.submit(host.now, spec);
  const auto start = host.take<Start>();
  EXPECT(start.request == request);
  const auto refused = scheduler.submit(host.now, spec);
  EXPECT(!refused && refused.status() == Status::over_quota);
  EXPECT(refused.error().message.size() > std::strlen(words(Status::over_quota)));
  const auto numbers = *scheduler.last_error();
  EXPECT(Status{numbers.status} == Status::over_quota && static_cast<Quota>(numbers.limit) == Quota::tokens);
  EXPECT(numbers.retry_at_ns == 20'000'000'000 && numbers.subject == team.value);
  EXPECT(scheduler.complete(host.now, request, start.attempt, {15, 0, 5}).ok());

  EXPECT(scheduler.tenant_configure(host.now, team, policy.allow_when_full().most_urgent(BATCH)).ok());
  EXPECT(scheduler.submit(host.now, RequestSpec(team, REALTIME).demand({1, 1})).status() == Status::tier_too_urgent);
  const auto below = TenantPolicy().parent(team);
  EXPECT(scheduler.tenant_configure(host.now, host.tenant, below).status() == Status::tenant_cycle);
  EXPECT(scheduler.tenant_remove(host.now, host.tenant).status() == Status::tenant_busy);
  EXPECT(scheduler.tenant_remove(host.now, team).ok());
}

void leases() {
  Host host("dimensions = ['slots']\nlease_fallback = 'deny'\n"
            "[[tiers]]\nname = 'realtime'\n[[tiers]]\nname = 'batch'\n", {2});
  const auto policy = TenantPolicy().tokens(Rate::per_second(100)).leased();
  EXPECT(host.scheduler.tenant_configure(host.now, host.tenant, policy).ok());
  const auto request = *host.scheduler.submit(host.now, RequestSpec(host.tenant, BATCH).demand({1}).prompt_tokens(20));
  const auto wanted = host.take<LeaseWanted>();
  EXPECT(wanted.tenant == host.tenant && wanted.limit == Quota::tokens && wanted.seq != 0);
  EXPECT(wanted.tokens >= 20 && wanted.returned == 0 && wanted.reason == Reason::lease_needed);
  EXPECT(host.scheduler.explain(request)->gate == Gate::quota);
  EXPECT(host.scheduler.lease_granted(host.now, wanted, wanted.tokens + 1, 5s).status() == Status::grant_too_large);
  EXPECT(host.scheduler.lease_granted(host.now, wanted, wanted.tokens, 5s).ok());
  EXPECT(host.take<Start>().request == request);
}

void changes() {
  Host host;
  EXPECT(host.scheduler.worker_drain(host.now, host.worker).ok());
  const auto request = host.submit(BATCH);
  const auto amendment = Amendment().tier(REALTIME).demand({2, 2}).peak({2, 4}).deadline(host.now + 1s);
  EXPECT(host.scheduler.amend(host.now, request, amendment).ok());
  EXPECT(host.depth(BATCH) == 0 && host.depth(REALTIME) == 1);
  EXPECT(host.scheduler.amend(host.now, request, Amendment().demand({9, 0})).status() == Status::never_fits);
  EXPECT(host.scheduler.reconfigure(host.now, *host.scheduler.config()).ok());
  const auto renamed = Config::from_toml("dimensions = ['slots']\n[[tiers]]\nname = 'only'\n");
  const auto refused = host.scheduler.reconfigure(host.now, *renamed);
  EXPECT(refused.status() == Status::config_invalid && !refused.error().message.empty());

  Scheduler moved = std::move(host.scheduler);
  EXPECT(*moved.queue_depth(REALTIME) == 1);
  const auto gone = host.scheduler.cancel(host.now, request);
  EXPECT(gone.status() == Status::null_pointer && gone.error().message == words(Status::null_pointer));
  EXPECT(host.scheduler.check_invariants().status() == Status::null_pointer);
}

/// The outcomes of a whole round.
std::vector<Outcome> round(const Shared &shared, Instant now) {
  std::vector<Outcome> outcomes;
  EXPECT(shared.poll_into(now, outcomes).ok());
  return outcomes;
}

/// The one outcome of a round, of this kind.
template <class Wanted> Wanted only(const std::vector<Outcome> &outcomes, int line = __builtin_LINE()) {
  expect(outcomes.size() == 1 && std::holds_alternative<Wanted>(outcomes[0]), "one outcome of this kind", line);
  return *std::get_if<Wanted>(&outcomes[0]);
}

/// Answers of a shared scheduler: accepted, refused, cancelled, to be stopped.
void shared() {
  Host host;
  const auto shared = *Shared::create(std::move(host.scheduler), 8);
  EXPECT(host.scheduler.stats().status() == Status::null_pointer);
  Scheduler mine = *shared.open();
  EXPECT(mine.poll(host.now).status() == Status::shared);
  EXPECT(Shared::create(std::move(mine)).status() == Status::shared && mine.stats().ok());
  Host other;
  EXPECT(other.scheduler.cancel(other.now, {99}).status() == Status::unknown_request);
  const auto too_large = Shared::create(std::move(other.scheduler), Shared::max_intake + 1);
  EXPECT(too_large.status() == Status::out_of_range && other.scheduler.stats().ok());
  EXPECT(too_large.error().message.find("intake_capacity") != std::string::npos);

  const auto ticket = *shared.submit(host.now, host.spec(BATCH).tag(7));
  EXPECT(*shared.wait(host.now, std::nullopt));
  const auto outcomes = round(shared, host.now);
  EXPECT(outcomes.size() == 2);
  const auto accepted = *std::get_if<Accepted>(&outcomes[0]);
  EXPECT(accepted.ticket == ticket && accepted.tag == 7 && accepted.request != RequestId{});
  bool started = false;
  const auto note = [&](const Action &action) { started = std::holds_alternative<Start>(action); };
  match(outcomes[1], note, [](const auto &) {});
  EXPECT(started && *mine.state(accepted.request) == State::starting);
  EXPECT(!*shared.wait(host.now, host.now));
  EXPECT(shared.cancel(host.now, ticket).ok());
  EXPECT(only<StopFirst>(round(shared, host.now)).request == accepted.request);
  EXPECT(shared.cancel_request(host.now, accepted.request).ok() && round(shared, host.now).empty());

  const auto refused = *shared.submit(host.now, RequestSpec(host.tenant, BATCH).demand({3, 0}).tag(8));
  const auto answer = only<Refused>(round(shared, host.now));
  EXPECT(answer.ticket == refused && answer.tag == 8 && answer.status == Status::never_fits);
  EXPECT(answer.numbers.need == 3 && answer.numbers.max == 2 && Status{answer.numbers.status} == answer.status);

  EXPECT(mine.worker_drain(host.now, host.worker).ok());
  const auto waiting = *shared.submit(host.now, host.spec(BATCH));
  EXPECT(shared.wake().ok() && *shared.wait(host.now, std::nullopt));
  only<Accepted>(round(shared, host.now));
  EXPECT(shared.cancel(host.now, waiting).ok());
  EXPECT(only<Cancelled>(round(shared, host.now)).ticket == waiting);
  for (int left = 0; left < 8; ++left) EXPECT(shared.submit(host.now, host.spec(BATCH)).ok());
  EXPECT(shared.submit(host.now, host.spec(BATCH)).status() == Status::busy);
}

/// What engines report by the intake is what they report on the spot.
void shared_reports() {
  Host host;
  const auto shared = *Shared::create(std::move(host.scheduler));
  const auto mine = *shared.open();
  const auto start = [&] {
    const auto outcomes = round(shared, host.now);
    EXPECT(!outcomes.empty() && std::holds_alternative<Action>(outcomes.back()));
    const auto *action = std::get_if<Action>(&outcomes.back());
    EXPECT(std::holds_alternative<Start>(*action));
    return *std::get_if<Start>(action);
  };
  EXPECT(shared.submit(host.now, host.spec(BATCH)).ok());
  auto it = start();
  EXPECT(shared.started(host.now, it.request, it.attempt, 4, {1, 10}).ok());
  EXPECT(shared.progress(host.now, it.request, it.attempt, 2, {1, 11}).ok());
  EXPECT(shared.step(host.now, it.worker, 1, {{StepException(it.request, it.attempt, 3, {1, 12})}}).ok());
  EXPECT(round(shared, host.now).empty() && (*mine.in_use(GPUS, BATCH) == Resources{1, 12}));
  EXPECT(shared.preempted_and_releasing(host.now, it.request, it.attempt, 5).ok());
  EXPECT(round(shared, host.now).empty() && *mine.state(it.request) == State::releasing);
  EXPECT(shared.released(host.now, it.request, it.attempt).ok());
  it = start();
  EXPECT(it.resume_tokens == 5 && shared.preempted(host.now, it.request, it.attempt, 6).ok());
  it = start();
  EXPECT(it.resume_tokens == 6 && shared.complete(host.now, it.request, it.attempt, {16, 4, 8}).ok());
  EXPECT(round(shared, host.now).empty() && mine.usage(host.tenant)->output_tokens == 8);
  EXPECT(shared.submit(host.now, host.spec(BATCH)).ok());
  it = start();
  EXPECT(shared.declined(host.now, it.request, it.attempt, Decline::other).ok());
  EXPECT(shared.failed(host.now, it.request, it.attempt).ok());
  EXPECT(only<Refused>(round(shared, host.now)).status == Status::wrong_state);
}

void records() {
  tidegate_action_t newer{};
  newer.kind = 999;
  EXPECT(std::holds_alternative<UnknownAction>(action_from(newer)));
  tidegate_action_t pressure{};
  pressure.kind = TIDEGATE_ACTION_PREEMPT;
  const auto action = action_from(pressure);
  EXPECT(!std::get_if<Preempt>(&action)->beneficiary);
  tidegate_action_t owed{};
  owed.kind = TIDEGATE_ACTION_LEASE_WANTED;
  owed.confirm_by_ns = static_cast<std::uint64_t>(-5);
  const auto debt = action_from(owed);
  EXPECT(std::get_if<LeaseWanted>(&debt)->returned == -5);
  tidegate_outcome_t more{};
  more.kind = 999;
  EXPECT(std::holds_alternative<UnknownOutcome>(outcome_from(more)));

  const auto spec = RequestSpec({4}, {1}).pool({2}).peak({5, 6, 7, 8}).cached_tokens(3).deadline({9}).c();
  EXPECT(spec.tenant == 4 && spec.tier == 1 && spec.pool == 2 && spec.peak[3] == 8 && spec.cached_tokens == 3);
  EXPECT(spec.flags == TIDEGATE_REQUEST_HAS_DEADLINE && spec.deadline_ns == 9);
  const auto listed = RequestSpec({4}, {1}).pools({{2}, {0}, {7}}).c();
  EXPECT(listed.pool == 2 && listed.other_pools_count == 2 && listed.other_pools[1] == 7);
  EXPECT(RequestSpec({4}, {1}).pools({{2}, {0}}).pool({1}).c().other_pools_count == 0);
  EXPECT(Instant::of(std::chrono::steady_clock::time_point(3s)).ns == 3'000'000'000);
  EXPECT(words(Reason::borrowed) != words(Reason::reclaimed) && words(Gate::claim) != words(Gate::held));
  EXPECT(words(State::queued) != words(State::parked) && words(Action(Spare{})) != words(Action(Stuck{})));
  EXPECT(words(Action(AlsoLost{})) == tidegate_action_kind_str(TIDEGATE_ACTION_ALSO_LOST));
  EXPECT(words(Action(LeaseWanted{})) == tidegate_action_kind_str(TIDEGATE_ACTION_LEASE_WANTED));
  EXPECT(words(action_from(newer)) == tidegate_action_kind_str(999));
}

/// A scheduler made of another's bytes goes on as that does.
void restarts() {
  Host host;
  host.now = host.now + 3s;
  const auto first = host.submit(BATCH);
  const Snapshot snapshot = *host.scheduler.snapshot();
  const std::vector<std::uint8_t> kept(snapshot.bytes().begin(), snapshot.bytes().end());
  const auto config = *Config::from_toml(TOML);
  Scheduler other = *Scheduler::restore(config, kept);
  EXPECT((*other.now() == Instant{3000000000} && *other.snapshot()->bytes().begin() == kept.front()));
  const auto theirs = *other.poll(host.now);
  const auto start = host.take<Start>();
  EXPECT(theirs && std::holds_alternative<Start>(*theirs) && std::get_if<Start>(&*theirs)->request == start.request);
  EXPECT(start.request == first && *other.submit(host.now, host.spec(BATCH)) == host.submit(BATCH));

  EXPECT(Scheduler::restore(config, {}).status() == Status::snapshot_damaged);
  EXPECT(Scheduler::restore(config, {kept.data(), kept.size() - 1}).error().message.find("damaged") == 2);
  auto newer = kept;
  ++newer[8];
  EXPECT(Scheduler::restore(config, newer).status() == Status::snapshot_format);
  const auto narrow = *Config::from_toml("dimensions = ['slots']\n[[tiers]]\nname = 'only'\n");
  const auto refused = Scheduler::restore(narrow, kept);
  EXPECT(refused.status() == Status::snapshot_shape && refused.error().message.find("tiers[0]") != std::string::npos);
  EXPECT(std::strcmp(words(Status::snapshot_shape), "snapshot of another shape") == 0);

  Snapshot from = *other.snapshot();
  const Snapshot to = std::move(from);
  EXPECT(to.bytes().size() > 0 && from.bytes().empty());
  const Scheduler moved = std::move(other);
  EXPECT(moved.snapshot().ok() && other.snapshot().status() == Status::null_pointer);
  EXPECT(other.now().status() == Status::null_pointer);
}

} // namespace

int main(int count, char **) {
  EXPECT(abi_matches());
  EXPECT(std::string_view(version()) == HEADER_VERSION);
  if (count > 1) return static_cast<int>(Host().scheduler.submit({}, RequestSpec({77}, BATCH)).value().value);
  configs();
  builders();
  reclaims();
  answers();
  drops();
  memory();
  fleets();
  shares();
  batches();
  long_rounds();
  tenants();
  leases();
  changes();
  shared();
  shared_reports();
  records();
  restarts();
#ifdef WITH_THROWS
  EXPECT(value_throws());
#endif
  return 0;
}
