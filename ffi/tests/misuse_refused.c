/* Asks for what the scheduler refuses, and checks each status, each number and each message. */
#include "misuse.h"

static void refused_requests(tidegate_scheduler_t *s) {
  tidegate_request_spec_t spec = request_of(0);
  uint64_t request = 0;
  spec.tenant = 7;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_UNKNOWN_TENANT);
  CHECK(last(s).subject == 7);
  spec = request_of(2);
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_UNKNOWN_TIER);
  CHECK(last(s).subject == 2);
  spec.tier = 256;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_UNKNOWN_TIER);
  CHECK(last(s).subject == 256);
  spec = request_of(0);
  spec.pool = 2;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_UNKNOWN_POOL);
  spec = request_of(0);
  spec.demand[0] = spec.demand[1] = 0;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_ZERO_DEMAND);
  spec = request_of(0);
  spec.demand[1] = 41;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_NEVER_FITS);
  CHECK(last(s).subject == 1 && last(s).need == 41 && last(s).max == 40);
  spec = request_of(0);
  spec.prompt_tokens = UINT64_MAX;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_LIMIT_EXCEEDED);
  CHECK(last(s).limit == TIDEGATE_LIMIT_TOKENS && last(s).max > 0);
  spec = request_of(0);
  spec.demand[0] = UINT64_MAX;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_LIMIT_EXCEEDED);
  CHECK(last(s).limit == TIDEGATE_LIMIT_UNITS);
  CHECK(request == 0);
}

static void full_queues(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_request_spec_t urgent = request_of(0), batch = request_of(1);
  uint64_t request = 0, waiting = 0;
  STATUS(tidegate_scheduler_submit(s, 0, &batch, &request), OK);
  STATUS(tidegate_scheduler_submit(s, 0, &batch, &request), TIDEGATE_STATUS_QUEUE_FULL);
  CHECK(last(s).scope == TIDEGATE_SCOPE_TIER && last(s).subject == 1 && last(s).max == 1);
  CHECK(last(s).unit == TIDEGATE_UNIT_REQUESTS);
  STATUS(tidegate_scheduler_submit(s, 0, &urgent, &request), OK);
  STATUS(tidegate_scheduler_submit(s, 0, &urgent, &request), TIDEGATE_STATUS_QUEUE_FULL);
  CHECK(last(s).scope == TIDEGATE_SCOPE_TOTAL && last(s).subject == 0 && last(s).max == 2);
  STATUS(tidegate_scheduler_queue_depth(s, 0, &waiting), OK);
  CHECK(waiting == 1);
  tidegate_scheduler_free(s);
}

static void refused_fleet(tidegate_scheduler_t *s) {
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_tenant_policy_t policy = TIDEGATE_TENANT_POLICY_INIT;
  char long_name[300];
  uint32_t number = 99;
  memset(long_name, 'x', sizeof long_name);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "", 0, &number), TIDEGATE_STATUS_BAD_NAME);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "a\nb", 3, &number), TIDEGATE_STATUS_BAD_NAME);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "a\xFF", 2, &number), TIDEGATE_STATUS_INVALID_UTF8);
  STATUS(tidegate_scheduler_tenant_set(s, 0, long_name, sizeof long_name, &number),
         TIDEGATE_STATUS_LIMIT_EXCEEDED);
  CHECK(last(s).limit == TIDEGATE_LIMIT_NAME_BYTES && last(s).max == 255);
  CHECK(number == 99);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "second", 6, &number), OK);
  /* Who is configured is not forgotten for another. */
  STATUS(tidegate_scheduler_tenant_configure(s, 0, 0, &policy), OK);
  STATUS(tidegate_scheduler_tenant_configure(s, 0, number, &policy), OK);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "third", 5, &number), TIDEGATE_STATUS_LIMIT_EXCEEDED);
  CHECK(last(s).limit == TIDEGATE_LIMIT_TENANTS && last(s).max == 2);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "acme", 4, &number), OK);
  CHECK(number == 0);
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), TIDEGATE_STATUS_ZERO_CAPACITY);
  worker.pool = 2;
  worker.capacity[0] = 1;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), TIDEGATE_STATUS_UNKNOWN_POOL);
  CHECK(last(s).subject == 2);
  STATUS(tidegate_scheduler_worker_drain(s, 0, 5), TIDEGATE_STATUS_UNKNOWN_WORKER);
  CHECK(last(s).subject == 5);
  STATUS(tidegate_scheduler_worker_lost(s, 0, 5), TIDEGATE_STATUS_UNKNOWN_WORKER);
  worker.pool = 0;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), OK);
  STATUS(tidegate_scheduler_worker_lost(s, 0, number), OK);
  STATUS(tidegate_scheduler_worker_lost(s, 0, number), TIDEGATE_STATUS_WORKER_LOST);
  CHECK(last(s).subject == number);
}

static void refused_tenants(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_tenant_policy_t policy = TIDEGATE_TENANT_POLICY_INIT;
  tidegate_tenant_usage_t used = TIDEGATE_TENANT_USAGE_INIT;
  uint32_t second = 0;
  STATUS(tidegate_scheduler_tenant_set(s, 0, "second", 6, &second), OK);
  STATUS(tidegate_scheduler_tenant_configure(s, 0, 7, &policy), TIDEGATE_STATUS_UNKNOWN_TENANT);
  policy.flags = 256;
  STATUS(tidegate_scheduler_tenant_configure(s, 0, second, &policy), OUT_OF_RANGE);
  policy.flags = TIDEGATE_TENANT_HAS_PARENT;
  policy.over_quota = 3;
  STATUS(tidegate_scheduler_tenant_configure(s, 0, second, &policy), OUT_OF_RANGE);
  policy.over_quota = TIDEGATE_OVER_QUOTA_WAIT;
  policy.most_urgent = 2;
  STATUS(tidegate_scheduler_tenant_configure(s, 0, second, &policy), TIDEGATE_STATUS_POLICY_INVALID);
  CHECK(says(s, "most_urgent: P2 is not one of the 2 tiers"));
  policy.most_urgent = 0;
  policy.parent = second;
  STATUS(tidegate_scheduler_tenant_configure(s, 0, 0, &policy), OK);
  STATUS(tidegate_scheduler_tenant_configure(s, 0, second, &policy), TIDEGATE_STATUS_TENANT_CYCLE);
  STATUS(tidegate_scheduler_tenant_remove(s, 0, second), TIDEGATE_STATUS_TENANT_BUSY);
  CHECK(last(s).subject == second);
  STATUS(tidegate_scheduler_tenant_remove(s, 0, 0), OK);
  STATUS(tidegate_scheduler_tenant_remove(s, 0, 0), TIDEGATE_STATUS_UNKNOWN_TENANT);
  memset(&used, 0xFF, sizeof used);
  used.struct_size = sizeof used;
  STATUS(tidegate_scheduler_usage(s, 0, &used), TIDEGATE_STATUS_UNKNOWN_TENANT);
  CHECK(used.submitted == UINT64_MAX);
  STATUS(tidegate_scheduler_usage(s, second, &used), OK);
  CHECK(used.reserved == 0 && used.submitted == 0 && used.unit_ns[3].high == 0);
  CHECK(used.queue_delays[TIDEGATE_QUEUE_DELAY_BUCKETS - 1] == 0);
  tidegate_scheduler_free(s);
}

static void refused_quota(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_tenant_policy_t policy = TIDEGATE_TENANT_POLICY_INIT;
  tidegate_request_spec_t spec = request_of(1);
  uint64_t request = 0;
  policy.most_urgent = 1;
  policy.flags = TIDEGATE_TENANT_HAS_TOKENS;
  policy.tokens.amount = policy.tokens.burst = 100;
  policy.tokens.period_ns = 1000;
  policy.over_quota = TIDEGATE_OVER_QUOTA_REJECT;
  STATUS(tidegate_scheduler_tenant_configure(s, 0, 0, &policy), OK);
  spec.flags = TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS;
  spec.output_tokens = 101;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_NEVER_ALLOWED);
  CHECK(last(s).subject == 0 && last(s).limit == TIDEGATE_QUOTA_TOKENS);
  CHECK(last(s).need == 101 && last(s).max == 100);
  spec.tier = 0;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_TIER_TOO_URGENT);
  CHECK(last(s).subject == 0 && last(s).need == 0 && last(s).max == 1);
  spec.tier = 1;
  spec.output_tokens = 100;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), OK);
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_OVER_QUOTA);
  CHECK(last(s).limit == TIDEGATE_QUOTA_TOKENS && last(s).retry_at_ns == 1000);
  tidegate_scheduler_free(s);
}

static void full_of_tokens(void) {
  tidegate_scheduler_t *s =
      scheduler_of("dimensions = [\"slots\", \"kv\"]\nqueue_token_limit = 100\n[[tiers]]\nname = \"a\"\n");
  tidegate_request_spec_t spec = request_of(0);
  uint64_t request = 0;
  spec.prompt_tokens = 101;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), TIDEGATE_STATUS_QUEUE_FULL);
  CHECK(last(s).unit == TIDEGATE_UNIT_TOKENS && last(s).scope == TIDEGATE_SCOPE_TOTAL && last(s).max == 100);
  tidegate_scheduler_free(s);
}

static void refused_devices(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_device_spec_t device = TIDEGATE_DEVICE_SPEC_INIT;
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_device_part_t parts[17];
  uint64_t units[TIDEGATE_DIMENSIONS] = {1, 1, 0, 0};
  uint32_t number = 99, gone = 99;
  memset(parts, 0, sizeof parts);
  worker.capacity[0] = 4;
  device.limit[0] = 3;
  STATUS(tidegate_scheduler_device_add(s, 0, &device, &number), OK);
  STATUS(tidegate_scheduler_device_add(s, 0, &device, &gone), OK);
  CHECK(number == 0 && gone == 1);
  STATUS(tidegate_scheduler_device_lost(s, 0, gone), OK);
  STATUS(tidegate_scheduler_device_lost(s, 0, gone), TIDEGATE_STATUS_DEVICE_LOST);
  CHECK(last(s).subject == gone);
  STATUS(tidegate_scheduler_device_lost(s, 0, 7), TIDEGATE_STATUS_UNKNOWN_DEVICE);
  STATUS(tidegate_scheduler_device_resize(s, 0, 7, units, 0, 0), TIDEGATE_STATUS_UNKNOWN_DEVICE);
  CHECK(last(s).subject == 7);
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, parts, 1, &number), TIDEGATE_STATUS_BAD_PART);
  parts[0].part_ppm = 1000000;
  parts[0].device = gone;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, parts, 1, &number), TIDEGATE_STATUS_DEVICE_LOST);
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, parts, 17, &number), TIDEGATE_STATUS_LIMIT_EXCEEDED);
  CHECK(last(s).limit == TIDEGATE_LIMIT_DEVICES_PER_WORKER && last(s).max == 16);
  parts[0].device = 0;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, parts, 1, &number), OK);
  worker.pool = 1;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, parts, 1, &number),
         TIDEGATE_STATUS_SHARED_ACROSS_POOLS);
  CHECK(last(s).subject == 0 && last(s).pool == 0);
  device.limit[0] = UINT64_MAX;
  STATUS(tidegate_scheduler_device_add(s, 0, &device, &number), TIDEGATE_STATUS_LIMIT_EXCEEDED);
  STATUS(tidegate_scheduler_worker_resize(s, 0, 9, units, 0, 0), TIDEGATE_STATUS_UNKNOWN_WORKER);
  STATUS(tidegate_scheduler_worker_usage(s, 0, 9, units), TIDEGATE_STATUS_UNKNOWN_WORKER);
  STATUS(tidegate_scheduler_cache_stored(s, 0, 9, units, 1), TIDEGATE_STATUS_UNKNOWN_WORKER);
  STATUS(tidegate_scheduler_cache_evicted(s, 0, 9, units, 1), TIDEGATE_STATUS_UNKNOWN_WORKER);
  STATUS(tidegate_scheduler_prefix_set(s, 0, 1, units, 1), TIDEGATE_STATUS_UNKNOWN_REQUEST);
  tidegate_scheduler_free(s);
}

static void refused_kinds(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  uint32_t number = 99;
  worker.capacity[0] = 4;
  worker.kind = TIDEGATE_WORKER_KIND_MIG + 1;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), OUT_OF_RANGE);
  worker.kind = TIDEGATE_WORKER_KIND_MPS;
  worker.flags = 4;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), OUT_OF_RANGE);
  worker.flags = TIDEGATE_WORKER_IS_SPARE | TIDEGATE_WORKER_REPLACES;
  worker.replaces = 7;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), TIDEGATE_STATUS_UNKNOWN_WORKER);
  worker.replaces = 0;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), TIDEGATE_STATUS_NOT_LOST);
  CHECK(last(s).subject == 0 && number == 99);
  STATUS(tidegate_scheduler_worker_lost(s, 0, 0), OK);
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), OK);
  worker.reserved = 1;
  CHECK(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number) != OK);
  tidegate_scheduler_free(s);
}

static void refused_steps(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_step_exception_t exception;
  tidegate_prompt_left_t prompt = {0, 60};
  tidegate_action_t started = start_one(s, 0);
  uint64_t units[TIDEGATE_DIMENSIONS];
  uint32_t other = 0;
  size_t count = 0;
  memset(&exception, 0, sizeof exception);
  worker.capacity[0] = 1;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &other), OK);
  exception.request = prompt.request = started.request;
  exception.attempt = 2;
  exception.output_tokens = 5;
  exception.in_use[0] = 1;
  exception.in_use[1] = 20;
  STATUS(tidegate_scheduler_step(s, 0, 9, 1, NULL, 0), TIDEGATE_STATUS_UNKNOWN_WORKER);
  STATUS(tidegate_scheduler_step(s, 0, 0, UINT64_MAX, NULL, 0), TIDEGATE_STATUS_LIMIT_EXCEEDED);
  STATUS(tidegate_scheduler_step(s, 0, 0, 1, &exception, 1), TIDEGATE_STATUS_STALE_ATTEMPT);
  CHECK(last(s).attempt == 2 && last(s).current_attempt == 1);
  exception.attempt = 1;
  STATUS(tidegate_scheduler_step(s, 0, other, 1, &exception, 1), TIDEGATE_STATUS_NOT_HERE);
  CHECK(last(s).request == started.request && last(s).subject == other);
  STATUS(tidegate_scheduler_step_plan(s, other, 100, &prompt, 1, &prompt, &count), TIDEGATE_STATUS_NOT_HERE);
  STATUS(tidegate_scheduler_step(s, 0, 0, 1, &exception, 1), OK);
  STATUS(tidegate_scheduler_in_use(s, 0, 0, units), OK);
  CHECK(units[1] == 20);
  STATUS(tidegate_scheduler_step_plan(s, 0, 100, &prompt, 1, &prompt, &count), OK);
  CHECK(count == 1 && prompt.request == started.request && prompt.tokens == 60);
  tidegate_scheduler_free(s);
}

static void amendments(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_amendment_t amendment = TIDEGATE_AMENDMENT_INIT;
  tidegate_explanation_t why = TIDEGATE_EXPLANATION_INIT;
  tidegate_request_spec_t spec = request_of(1);
  uint64_t request = 0, waiting = 0;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), OK);
  STATUS(tidegate_scheduler_amend(s, 0, 12345, &amendment), TIDEGATE_STATUS_UNKNOWN_REQUEST);
  CHECK(last(s).request == 12345);
  amendment.tier = 256;
  STATUS(tidegate_scheduler_amend(s, 0, request, &amendment), OK);
  amendment.flags = TIDEGATE_AMEND_TIER;
  STATUS(tidegate_scheduler_amend(s, 0, request, &amendment), TIDEGATE_STATUS_UNKNOWN_TIER);
  amendment.tier = 0;
  amendment.flags |= TIDEGATE_AMEND_DEMAND | TIDEGATE_AMEND_PEAK | TIDEGATE_AMEND_DEADLINE;
  amendment.demand[1] = 41;
  STATUS(tidegate_scheduler_amend(s, 0, request, &amendment), TIDEGATE_STATUS_NEVER_FITS);
  CHECK(last(s).subject == 1 && last(s).need == 41 && last(s).max == 40);
  amendment.demand[1] = 11;
  STATUS(tidegate_scheduler_amend(s, 0, request, &amendment), OK);
  STATUS(tidegate_scheduler_queue_depth(s, 0, &waiting), OK);
  CHECK(waiting == 1);
  STATUS(tidegate_scheduler_explain(s, 12345, &why), TIDEGATE_STATUS_UNKNOWN_REQUEST);
  STATUS(tidegate_scheduler_explain(s, request, &why), OK);
  CHECK(why.state == TIDEGATE_STATE_QUEUED && why.gate == TIDEGATE_GATE_NONE && why.ahead == 0);
  STATUS(tidegate_scheduler_worker_lost(s, 0, 0), OK);
  STATUS(tidegate_scheduler_explain(s, request, &why), OK);
  CHECK(why.state == TIDEGATE_STATE_PARKED && why.gate == TIDEGATE_GATE_NO_WORKER);
  CHECK(why.starts_at_ns == TIDEGATE_NEVER);
  tidegate_scheduler_free(s);
}

static void other_configs(void) {
  static const char SHARES[] =
      "dimensions = [\"slots\", \"kv_blocks\"]\npools = [\"a\", \"b\"]\n"
      "[[tiers]]\nname = \"realtime\"\nreserve_ppm = 600000\n[[tiers]]\nname = \"batch\"\n";
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_config_t *shares = config_of(SHARES);
  tidegate_config_t *names = config_of("dimensions = [\"slots\"]\n[[tiers]]\nname = \"a\"\n");
  tidegate_share_warning_t warnings[4];
  uint64_t units[TIDEGATE_DIMENSIONS];
  size_t count = 0;
  STATUS(tidegate_scheduler_reconfigure(s, 0, names), TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(says(s, "dimensions: 2 while running, not 1; pools: 2 while running, not 1; "
                "pools[0]: \"a\" while running, not \"default\"; tiers: 2 while running, not 1; "
                "tiers[0]: \"realtime\" while running, not \"a\""));
  STATUS(tidegate_scheduler_share_warnings(s, warnings, 4, &count), OK);
  CHECK(count == 1 && warnings[0].dimension == 0 && warnings[0].asked_ppm == 300000);
  CHECK(warnings[0].effective_ppm == 500000 && warnings[0].pool == 0 && warnings[0].tier == 0);
  STATUS(tidegate_scheduler_reconfigure(s, 0, shares), OK);
  tidegate_config_free(shares);
  tidegate_config_free(names);
  STATUS(tidegate_scheduler_effective_reserve(s, 0, 0, units), OK);
  CHECK(units[0] == 3 && units[1] == 24);
  STATUS(tidegate_scheduler_share_warnings(s, NULL, 0, &count), OK);
  CHECK(count == 1);
  tidegate_scheduler_free(s);
}

static void unknown_requests(tidegate_scheduler_t *s) {
  static const uint64_t IDS[] = {0, 12345, UINT64_MAX};
  uint64_t units[TIDEGATE_DIMENSIONS] = {1, 10, 0, 0};
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  uint32_t state = 99;
  size_t i;
  for (i = 0; i < sizeof IDS / sizeof *IDS; i++) {
    uint64_t id = IDS[i];
    STATUS(tidegate_scheduler_cancel(s, 0, id), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    CHECK(last(s).request == id);
    STATUS(tidegate_scheduler_started(s, 0, id, 1, 0, units), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    STATUS(tidegate_scheduler_declined(s, 0, id, 1, 0), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    STATUS(tidegate_scheduler_progress(s, 0, id, 1, 0, units), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    STATUS(tidegate_scheduler_preempted(s, 0, id, 1, 0, 0), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    STATUS(tidegate_scheduler_released(s, 0, id, 1), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    STATUS(tidegate_scheduler_complete(s, 0, id, 1, &usage), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    STATUS(tidegate_scheduler_failed(s, 0, id, 1), TIDEGATE_STATUS_UNKNOWN_REQUEST);
    STATUS(tidegate_scheduler_state(s, id, &state), TIDEGATE_STATUS_UNKNOWN_REQUEST);
  }
  CHECK(state == 99);
}

static void reports_out_of_place(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_request_spec_t spec = request_of(0);
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  uint64_t units[TIDEGATE_DIMENSIONS] = {1, 10, 0, 0}, waiting = 0, running;
  uint32_t state = 0;
  running = start_one(s, 0).request;
  STATUS(tidegate_scheduler_state(s, running, &state), OK);
  CHECK(state == TIDEGATE_STATE_STARTING);
  STATUS(tidegate_scheduler_progress(s, 1, running, 2, 5, units), TIDEGATE_STATUS_STALE_ATTEMPT);
  CHECK(last(s).request == running && last(s).attempt == 2 && last(s).current_attempt == 1);
  STATUS(tidegate_scheduler_progress(s, 1, running, 0, 5, units), TIDEGATE_STATUS_STALE_ATTEMPT);
  STATUS(tidegate_scheduler_started(s, 1, running, 1, 0, units), OK);
  STATUS(tidegate_scheduler_declined(s, 1, running, 1, TIDEGATE_DECLINE_NO_ROOM),
         TIDEGATE_STATUS_WRONG_STATE);
  CHECK(last(s).request == running && last(s).state == TIDEGATE_STATE_RUNNING);
  STATUS(tidegate_scheduler_released(s, 1, running, 1), TIDEGATE_STATUS_WRONG_STATE);
  STATUS(tidegate_scheduler_submit(s, 1, &spec, &waiting), OK);
  STATUS(tidegate_scheduler_state(s, waiting, &state), OK);
  CHECK(state == TIDEGATE_STATE_QUEUED && waiting != running && waiting != 0);
  STATUS(tidegate_scheduler_complete(s, 2, running, 1, &usage), OK);
  STATUS(tidegate_scheduler_complete(s, 2, running, 1, &usage), TIDEGATE_STATUS_ALREADY_TERMINAL);
  STATUS(tidegate_scheduler_state(s, running, &state), TIDEGATE_STATUS_ALREADY_TERMINAL);
  STATUS(tidegate_scheduler_cancel(s, 2, waiting), OK);
  STATUS(tidegate_scheduler_cancel(s, 2, waiting), TIDEGATE_STATUS_ALREADY_TERMINAL);
  CHECK(last(s).request == waiting);
  tidegate_scheduler_free(s);
}

int main(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  refused_requests(s);
  unknown_requests(s);
  refused_fleet(s);
  nothing_changed(s);
  tidegate_scheduler_free(s);
  full_queues();
  full_of_tokens();
  refused_devices();
  refused_kinds();
  refused_tenants();
  refused_quota();
  refused_steps();
  amendments();
  other_configs();
  reports_out_of_place();
  return surprises == 0 ? 0 : 1;
}
