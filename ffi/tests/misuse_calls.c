/* Calls every function in a way that is wrong whatever the scheduler knows: NULL, sizes, ranges, no UTF-8, no config. */
#include "misuse.h"

/* Names and versions. */

static void names(void) {
  CHECK(tidegate_abi_version() == TIDEGATE_ABI_VERSION);
  CHECK(strcmp(tidegate_version(), TIDEGATE_VERSION) == 0);
  CHECK(strcmp(tidegate_status_str(TIDEGATE_STATUS_NEVER_FITS), "never fits") == 0);
  CHECK(strcmp(tidegate_status_str(77), "unknown status") == 0);
  CHECK(strcmp(tidegate_status_str(UINT32_MAX), "unknown status") == 0);
  CHECK(strcmp(tidegate_reason_str(TIDEGATE_REASON_RECLAIM), "reclaim") == 0);
  CHECK(strcmp(tidegate_reason_str(0), "unknown reason") == 0);
  CHECK(strcmp(tidegate_reason_str(UINT32_MAX), "unknown reason") == 0);
  CHECK(strcmp(tidegate_gate_str(TIDEGATE_GATE_NO_WORKER), "no-worker") == 0);
  CHECK(strcmp(tidegate_gate_str(TIDEGATE_GATE_NONE), "none") == 0);
  CHECK(strcmp(tidegate_gate_str(UINT32_MAX), "unknown gate") == 0);
  CHECK(sizeof(tidegate_action_t) == 64 && sizeof(tidegate_step_exception_t) == 64);
}

/* The config. */

static void bad_config(void) {
  static const char BAD[] =
      "dimensions = [\"slots\"]\n[[tiers]]\nname = \"a\"\nreserve_ppm = 1000001\n[[tiers]]\nname = \"a\"\n";
  char message[256], cut[8], *untouched = message;
  tidegate_config_t *const mark = (tidegate_config_t *)(void *)message, *config = mark;
  size_t len = 0, cut_len = 0;
  STATUS(tidegate_config_from_toml(BAD, strlen(BAD), message, sizeof message, &len, &config),
         TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(len == strlen(message));
  CHECK(strstr(message, "tiers[0].reserve_ppm: ") != NULL);
  CHECK(strstr(message, "tiers[1]") != NULL);
  CHECK(config == mark);
  STATUS(tidegate_config_from_toml(BAD, strlen(BAD), cut, sizeof cut, &cut_len, &config),
         TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(cut_len == len && strlen(cut) == 7 && memcmp(cut, message, 7) == 0);
  STATUS(tidegate_config_from_toml("?", 1, message, sizeof message, NULL, &config),
         TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(strstr(message, "line 1") != NULL);
  STATUS(tidegate_config_from_toml(NULL, 0, NULL, 0, NULL, &config), TIDEGATE_STATUS_CONFIG_INVALID);
  STATUS(tidegate_config_from_toml("\xFF", 1, NULL, 0, NULL, &config), TIDEGATE_STATUS_INVALID_UTF8);
  STATUS(tidegate_config_from_toml("a", SIZE_MAX, NULL, 0, NULL, &config), OUT_OF_RANGE);
  STATUS(tidegate_config_from_toml(NULL, 1, NULL, 0, NULL, &config), NULL_POINTER);
  STATUS(tidegate_config_from_toml(BAD, strlen(BAD), NULL, 1, NULL, &config), NULL_POINTER);
  STATUS(tidegate_config_from_toml(CONFIG, strlen(CONFIG), NULL, 0, NULL, NULL), NULL_POINTER);
  CHECK(config == mark && untouched == message);
}

static void json(void) {
  static const char BAD[] = "{\"dimensions\": [\"slots\"],\n\"tiers\": 1}";
  tidegate_config_t *config = config_of(CONFIG), *again = NULL, *mark = NULL;
  char text[8192], toml[8192], toml_again[8192], message[256];
  size_t len = 0;
  STATUS(tidegate_config_to_json(config, text, sizeof text, &len), OK);
  CHECK(len == strlen(text) && text[0] == '{');
  STATUS(tidegate_config_from_json(text, len, NULL, 0, NULL, &again), OK);
  STATUS(tidegate_config_to_toml(config, toml, sizeof toml, NULL), OK);
  STATUS(tidegate_config_to_toml(again, toml_again, sizeof toml_again, NULL), OK);
  CHECK(strcmp(toml, toml_again) == 0);
  STATUS(tidegate_config_from_json(BAD, strlen(BAD), message, sizeof message, NULL, &mark),
         TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(strncmp(message, "line 2: ", 8) == 0 && mark == NULL);
  STATUS(tidegate_config_from_json(NULL, 0, NULL, 0, NULL, &mark), TIDEGATE_STATUS_CONFIG_INVALID);
  STATUS(tidegate_config_from_json(NULL, 1, NULL, 0, NULL, &mark), NULL_POINTER);
  STATUS(tidegate_config_from_json("\xFF", 1, NULL, 0, NULL, &mark), TIDEGATE_STATUS_INVALID_UTF8);
  STATUS(tidegate_config_from_json(text, len, NULL, 0, NULL, NULL), NULL_POINTER);
  STATUS(tidegate_config_to_json(NULL, text, sizeof text, &len), NULL_POINTER);
  STATUS(tidegate_config_to_json(config, NULL, 1, &len), NULL_POINTER);
  tidegate_config_free(again);
  tidegate_config_free(config);
}

static void config_names(void) {
  tidegate_config_t *config = config_of(CONFIG), *again;
  char text[4096];
  size_t len = 0;
  uint32_t number = 99;
  STATUS(tidegate_config_find_tier(config, "batch", 5, &number), OK);
  CHECK(number == 1);
  STATUS(tidegate_config_find_pool(config, "b", 1, &number), OK);
  CHECK(number == 1);
  STATUS(tidegate_config_find_dimension(config, "kv_blocks", 9, &number), OK);
  CHECK(number == 1);
  number = 99;
  STATUS(tidegate_config_find_tier(config, "batc", 4, &number), TIDEGATE_STATUS_UNKNOWN_TIER);
  STATUS(tidegate_config_find_pool(config, "", 0, &number), TIDEGATE_STATUS_UNKNOWN_POOL);
  STATUS(tidegate_config_find_dimension(config, "x", 1, &number), TIDEGATE_STATUS_UNKNOWN_DIMENSION);
  STATUS(tidegate_config_find_tier(NULL, "batch", 5, &number), NULL_POINTER);
  STATUS(tidegate_config_find_pool(config, NULL, 1, &number), NULL_POINTER);
  STATUS(tidegate_config_find_dimension(config, "kv_blocks", 9, NULL), NULL_POINTER);
  STATUS(tidegate_config_find_tier(config, "\xC3", 1, &number), TIDEGATE_STATUS_INVALID_UTF8);
  CHECK(number == 99);
  STATUS(tidegate_config_to_toml(config, text, sizeof text, &len), OK);
  CHECK(len == strlen(text));
  again = config_of(text);
  STATUS(tidegate_config_to_toml(NULL, text, sizeof text, &len), NULL_POINTER);
  STATUS(tidegate_config_to_toml(config, NULL, 1, &len), NULL_POINTER);
  tidegate_config_free(again);
  tidegate_config_free(config);
  tidegate_config_free(NULL);
}

/* Pointers. */

static void null_verbs(tidegate_scheduler_t *s) {
  tidegate_request_spec_t spec = request_of(0);
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_device_spec_t device = TIDEGATE_DEVICE_SPEC_INIT;
  tidegate_action_t action;
  uint64_t wide = 99;
  uint32_t number = 99;
  size_t count = 99;
  worker.capacity[0] = 1;
  STATUS(tidegate_scheduler_new(NULL, 0, &s), NULL_POINTER);
  STATUS(tidegate_scheduler_submit(s, 0, NULL, &wide), NULL_POINTER);
  CHECK(says(s, "spec is NULL"));
  STATUS(tidegate_scheduler_submit(s, 0, &spec, NULL), NULL_POINTER);
  CHECK(says(s, "out_request is NULL"));
  STATUS(tidegate_scheduler_tenant_set(s, 0, NULL, 1, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "b", 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_tenant_configure(s, 0, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_add(s, 0, NULL, NULL, 0, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_started(s, 0, 1, 1, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_progress(s, 0, 1, 1, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_complete(s, 0, 1, 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_poll(s, 0, NULL, 1, &count), NULL_POINTER);
  STATUS(tidegate_scheduler_poll(s, 0, &action, 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 1, &number), NULL_POINTER);
  CHECK(says(s, "devices is NULL"));
  STATUS(tidegate_scheduler_worker_resize(s, 0, 0, NULL, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_usage(s, 0, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_cache_stored(s, 0, 0, NULL, 1), NULL_POINTER);
  STATUS(tidegate_scheduler_cache_evicted(s, 0, 0, NULL, 1), NULL_POINTER);
  STATUS(tidegate_scheduler_prefix_set(s, 0, 1, NULL, 1), NULL_POINTER);
  STATUS(tidegate_scheduler_device_add(s, 0, NULL, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_device_add(s, 0, &device, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_device_resize(s, 0, 0, NULL, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_step(s, 0, 0, 1, NULL, 1), NULL_POINTER);
  STATUS(tidegate_scheduler_amend(s, 0, 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_reconfigure(s, 0, NULL), NULL_POINTER);
  CHECK(last(s).status == NULL_POINTER);
  CHECK(number == 99 && wide == 99 && count == 99);
}

static void null_questions(const tidegate_scheduler_t *s) {
  tidegate_prompt_left_t prompt = {1, 1};
  size_t count;
  STATUS(tidegate_scheduler_poll_timeout(s, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_state(s, 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_queue_depth(s, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_kept_out_until(s, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_effective_reserve(s, 0, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_in_use(s, 0, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_waiting_demand(s, 0, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_explain(s, 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_share_warnings(s, NULL, 1, &count), NULL_POINTER);
  STATUS(tidegate_scheduler_share_warnings(s, NULL, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_share_warnings(s, NULL, 0, &count), OK);
  STATUS(tidegate_scheduler_step_plan(s, 0, 1, NULL, 1, &prompt, &count), NULL_POINTER);
  STATUS(tidegate_scheduler_step_plan(s, 0, 1, &prompt, 1, NULL, &count), NULL_POINTER);
  STATUS(tidegate_scheduler_step_plan(s, 0, 1, NULL, 0, NULL, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_step_plan(s, 0, 1, NULL, 0, NULL, &count), OK);
  STATUS(tidegate_scheduler_usage(s, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_stats(s, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_check_invariants(s, NULL, 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_last_error(s, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_last_error_message(s, NULL, 1, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_last_error_message(s, NULL, 0, NULL), OK);
}

static void null_handle(void) {
  tidegate_tenant_policy_t policy = TIDEGATE_TENANT_POLICY_INIT;
  tidegate_request_spec_t spec = request_of(0);
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  tidegate_tenant_usage_t tenant = TIDEGATE_TENANT_USAGE_INIT;
  tidegate_error_t error = TIDEGATE_ERROR_INIT;
  tidegate_device_spec_t device = TIDEGATE_DEVICE_SPEC_INIT;
  tidegate_amendment_t amendment = TIDEGATE_AMENDMENT_INIT;
  tidegate_explanation_t explanation = TIDEGATE_EXPLANATION_INIT;
  tidegate_config_t *config = config_of(CONFIG);
  tidegate_action_t action;
  uint64_t units[TIDEGATE_DIMENSIONS] = {0, 0, 0, 0}, wide;
  uint32_t number;
  size_t count;
  STATUS(tidegate_scheduler_tenant_set(NULL, 0, "a", 1, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_tenant_configure(NULL, 0, 0, &policy), NULL_POINTER);
  STATUS(tidegate_scheduler_tenant_remove(NULL, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_add(NULL, 0, &worker, NULL, 0, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_drain(NULL, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_lost(NULL, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_submit(NULL, 0, &spec, &wide), NULL_POINTER);
  STATUS(tidegate_scheduler_submit_many(NULL, 0, &spec, 1, &wide, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_complete_many(NULL, 0, NULL, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_cancel(NULL, 0, 1), NULL_POINTER);
  STATUS(tidegate_scheduler_started(NULL, 0, 1, 1, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_declined(NULL, 0, 1, 1, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_progress(NULL, 0, 1, 1, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_preempted(NULL, 0, 1, 1, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_released(NULL, 0, 1, 1), NULL_POINTER);
  STATUS(tidegate_scheduler_complete(NULL, 0, 1, 1, &usage), NULL_POINTER);
  STATUS(tidegate_scheduler_failed(NULL, 0, 1, 1), NULL_POINTER);
  STATUS(tidegate_scheduler_poll(NULL, 0, &action, 1, &count), NULL_POINTER);
  STATUS(tidegate_scheduler_poll_timeout(NULL, &wide), NULL_POINTER);
  STATUS(tidegate_scheduler_state(NULL, 1, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_queue_depth(NULL, 0, &wide), NULL_POINTER);
  STATUS(tidegate_scheduler_kept_out_until(NULL, 0, &wide), NULL_POINTER);
  STATUS(tidegate_scheduler_effective_reserve(NULL, 0, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_in_use(NULL, 0, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_waiting_demand(NULL, 0, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_usage(NULL, 0, &tenant), NULL_POINTER);
  STATUS(tidegate_scheduler_stats(NULL, &stats), NULL_POINTER);
  STATUS(tidegate_scheduler_check_invariants(NULL, NULL, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_last_error(NULL, &error), NULL_POINTER);
  STATUS(tidegate_scheduler_last_error_message(NULL, NULL, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_device_add(NULL, 0, &device, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_device_resize(NULL, 0, 0, units, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_device_lost(NULL, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_resize(NULL, 0, 0, units, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_usage(NULL, 0, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_cache_stored(NULL, 0, 0, NULL, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_cache_evicted(NULL, 0, 0, NULL, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_prefix_set(NULL, 0, 1, NULL, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_step(NULL, 0, 0, 1, NULL, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_amend(NULL, 0, 1, &amendment), NULL_POINTER);
  STATUS(tidegate_scheduler_reconfigure(NULL, 0, config), NULL_POINTER);
  STATUS(tidegate_scheduler_explain(NULL, 1, &explanation), NULL_POINTER);
  STATUS(tidegate_scheduler_share_warnings(NULL, NULL, 0, &count), NULL_POINTER);
  STATUS(tidegate_scheduler_step_plan(NULL, 0, 1, NULL, 0, NULL, &count), NULL_POINTER);
  tidegate_config_free(config);
  tidegate_scheduler_free(NULL);
}

/* Sizes and ranges. */

static void struct_sizes(tidegate_scheduler_t *s) {
  struct {
    tidegate_usage_t usage;
    uint64_t newer;
  } grown = {TIDEGATE_USAGE_INIT, 0};
  tidegate_request_spec_t spec = request_of(0);
  tidegate_tenant_policy_t policy = TIDEGATE_TENANT_POLICY_INIT;
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  tidegate_tenant_usage_t used = TIDEGATE_TENANT_USAGE_INIT;
  tidegate_error_t error = TIDEGATE_ERROR_INIT;
  tidegate_device_spec_t device = TIDEGATE_DEVICE_SPEC_INIT;
  tidegate_amendment_t amendment = TIDEGATE_AMENDMENT_INIT;
  tidegate_explanation_t explanation = TIDEGATE_EXPLANATION_INIT;
  uint64_t request = 0;
  uint32_t number;
  spec.struct_size = (uint32_t)offsetof(tidegate_request_spec_t, other_pools_count) - 1; /* the first version, cut */
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), STRUCT_SIZE);
  spec.struct_size = 0;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), STRUCT_SIZE);
  spec.struct_size = UINT32_MAX;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), STRUCT_SIZE);
  worker.struct_size = 4;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), STRUCT_SIZE);
  CHECK(says(s, "spec: struct_size is 4, this library knows 40 to 56"));
  grown.usage.struct_size = sizeof grown;
  STATUS(tidegate_scheduler_complete(s, 0, 12345, 1, &grown.usage), TIDEGATE_STATUS_UNKNOWN_REQUEST);
  grown.newer = 1;
  STATUS(tidegate_scheduler_complete(s, 0, 12345, 1, &grown.usage), STRUCT_SIZE);
  used.struct_size = sizeof used - 1;
  STATUS(tidegate_scheduler_usage(s, 0, &used), STRUCT_SIZE);
  stats.struct_size = 8;
  STATUS(tidegate_scheduler_stats(s, &stats), STRUCT_SIZE);
  error.struct_size = 8;
  STATUS(tidegate_scheduler_last_error(s, &error), STRUCT_SIZE);
  device.struct_size = 8;
  STATUS(tidegate_scheduler_device_add(s, 0, &device, &number), STRUCT_SIZE);
  amendment.struct_size = UINT32_MAX;
  STATUS(tidegate_scheduler_amend(s, 0, 1, &amendment), STRUCT_SIZE);
  policy.struct_size = 127;
  STATUS(tidegate_scheduler_tenant_configure(s, 0, 0, &policy), STRUCT_SIZE);
  explanation.struct_size = 4;
  STATUS(tidegate_scheduler_explain(s, 1, &explanation), STRUCT_SIZE);
}

static void ranges(tidegate_scheduler_t *s) {
  tidegate_request_spec_t spec = request_of(0);
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  tidegate_device_spec_t device = TIDEGATE_DEVICE_SPEC_INIT;
  tidegate_amendment_t amendment = TIDEGATE_AMENDMENT_INIT;
  tidegate_step_exception_t exception;
  tidegate_prompt_left_t prompt = {1, 1};
  tidegate_action_t action;
  uint64_t request = 0, units[TIDEGATE_DIMENSIONS] = {1, 1, 0, 0};
  uint32_t number;
  size_t count = 99;
  spec.yielding = 3;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), OUT_OF_RANGE);
  CHECK(says(s, "spec.yielding: 3 is out of range"));
  spec = request_of(0);
  spec.flags = 8;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_declined(s, 0, 1, 1, 3), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_declined(s, 0, 1, 1, UINT32_MAX), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_preempted(s, 0, 1, 1, 0, 2), OUT_OF_RANGE);
  usage.reserved = 1;
  STATUS(tidegate_scheduler_complete(s, 0, 1, 1, &usage), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_poll(s, 0, &action, 0, &count), OUT_OF_RANGE);
  CHECK(says(s, "capacity: 0 is out of range") && count == 99 && request == 0);
  device.flags = 2;
  STATUS(tidegate_scheduler_device_add(s, 0, &device, &number), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_device_resize(s, 0, 0, units, 2, 0), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_worker_resize(s, 0, 0, units, UINT32_MAX, 0), OUT_OF_RANGE);
  CHECK(says(s, "shrink: 4294967295 is out of range"));
  amendment.flags = 16;
  STATUS(tidegate_scheduler_amend(s, 0, 1, &amendment), OUT_OF_RANGE);
  amendment.flags = 0;
  amendment.reserved = 1;
  STATUS(tidegate_scheduler_amend(s, 0, 1, &amendment), OUT_OF_RANGE);
  memset(&exception, 0, sizeof exception);
  exception.reserved[2] = 1;
  STATUS(tidegate_scheduler_step(s, 0, 0, 1, &exception, 1), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_step(s, 0, 0, 1, &exception, SIZE_MAX), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_step_plan(s, 0, 1, &prompt, SIZE_MAX, &prompt, &count), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_queue_depth(s, 2, &request), TIDEGATE_STATUS_UNKNOWN_TIER);
  STATUS(tidegate_scheduler_queue_depth(s, 256, &request), TIDEGATE_STATUS_UNKNOWN_TIER);
  STATUS(tidegate_scheduler_kept_out_until(s, 256, &request), TIDEGATE_STATUS_UNKNOWN_WORKER);
  STATUS(tidegate_scheduler_in_use(s, 0, 2, units), TIDEGATE_STATUS_UNKNOWN_TIER);
  STATUS(tidegate_scheduler_effective_reserve(s, 2, 0, units), TIDEGATE_STATUS_UNKNOWN_POOL);
  STATUS(tidegate_scheduler_waiting_demand(s, UINT32_MAX, 0, units), TIDEGATE_STATUS_UNKNOWN_POOL);
}

int main(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  CHECK(last(s).status == OK);
  CHECK(says(s, ""));
  names();
  bad_config();
  config_names();
  json();
  null_handle();
  null_verbs(s);
  null_questions(s);
  struct_sizes(s);
  ranges(s);
  nothing_changed(s);
  tidegate_scheduler_free(s);
  return surprises == 0 ? 0 : 1;
}
