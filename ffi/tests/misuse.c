/* Calls every function wrongly, and checks each status, each number and each message.
 *
 * Exit status: 0 if all were as expected, 1 with one line for each that was not.
 */
#include "tidegate.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char CONFIG[] =
    "dimensions = [\"slots\", \"kv_blocks\"]\n"
    "pools = [\"a\", \"b\"]\n"
    "queue_limit = 2\n"
    "max_tenants = 2\n"
    "[[tiers]]\n"
    "name = \"realtime\"\n"
    "reserve_ppm = 300000\n"
    "[[tiers]]\n"
    "name = \"batch\"\n"
    "queue_limit = 1\n";

static int surprises;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      printf("misuse.c:%d: does not hold: %s\n", __LINE__, #condition);    \
      surprises++;                                                         \
    }                                                                      \
  } while (0)

#define STATUS(call, wanted)                                               \
  do {                                                                     \
    uint32_t got_ = (call);                                                \
    if (got_ != (wanted)) {                                                \
      printf("misuse.c:%d: %s: got %s, wanted %s\n", __LINE__, #call,      \
             tidegate_status_str(got_), tidegate_status_str(wanted));      \
      surprises++;                                                         \
    }                                                                      \
  } while (0)

#define OK TIDEGATE_STATUS_OK
#define NULL_POINTER TIDEGATE_STATUS_NULL_POINTER
#define OUT_OF_RANGE TIDEGATE_STATUS_OUT_OF_RANGE
#define STRUCT_SIZE TIDEGATE_STATUS_STRUCT_SIZE

static tidegate_error_t last(const tidegate_scheduler_t *s) {
  tidegate_error_t error = TIDEGATE_ERROR_INIT;
  STATUS(tidegate_scheduler_last_error(s, &error), OK);
  return error;
}

static int says(const tidegate_scheduler_t *s, const char *words) {
  char message[256];
  size_t len = 0;
  STATUS(tidegate_scheduler_last_error_message(s, message, sizeof message, &len), OK);
  CHECK(len == strlen(message));
  if (strcmp(message, words) == 0) return 1;
  printf("the message is: %s\n", message);
  return 0;
}

static tidegate_config_t *config_of(const char *toml) {
  tidegate_config_t *config = NULL;
  STATUS(tidegate_config_from_toml(toml, strlen(toml), NULL, 0, NULL, &config), OK);
  if (config == NULL) exit(1);
  return config;
}

/* A scheduler with one tenant, and one worker of 4 slots and 40 blocks in pool 0. */
static tidegate_scheduler_t *scheduler_of(const char *toml) {
  tidegate_config_t *config = config_of(toml);
  tidegate_scheduler_t *s = NULL;
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  uint32_t number;
  STATUS(tidegate_scheduler_new(config, 0, &s), OK);
  tidegate_config_free(config);
  if (s == NULL) exit(1);
  STATUS(tidegate_scheduler_tenant_set(s, 0, "acme", 4, &number), OK);
  worker.capacity[0] = 4;
  worker.capacity[1] = 40;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), OK);
  return s;
}

static tidegate_request_spec_t request_of(uint32_t tier) {
  tidegate_request_spec_t spec = TIDEGATE_REQUEST_SPEC_INIT;
  spec.tier = tier;
  spec.demand[0] = 1;
  spec.demand[1] = 10;
  return spec;
}

/* Submits a request and has it started. */
static tidegate_action_t start_one(tidegate_scheduler_t *s, uint64_t now) {
  tidegate_request_spec_t spec = request_of(0);
  tidegate_action_t action;
  uint64_t request;
  size_t count = 0;
  memset(&action, 0xFF, sizeof action);
  STATUS(tidegate_scheduler_submit(s, now, &spec, &request), OK);
  STATUS(tidegate_scheduler_poll(s, now, &action, 1, &count), OK);
  CHECK(count == 1 && action.kind == TIDEGATE_ACTION_START && action.request == request);
  CHECK(action.attempt == 1 && action.worker == 0 && action.beneficiary == 0 && action.mode == 0);
  CHECK(action.reserved == 0 && action.tenant == 0 && action.limit == 0);
  STATUS(tidegate_scheduler_poll(s, now, &action, 1, &count), OK);
  CHECK(count == 0);
  return action;
}

/* Names and versions. */

static void names(void) {
  CHECK(tidegate_abi_version() == TIDEGATE_ABI_VERSION);
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
  char text[1024];
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
  STATUS(tidegate_scheduler_effective_reserve(NULL, 0, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_in_use(NULL, 0, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_waiting_demand(NULL, 0, 0, units), NULL_POINTER);
  STATUS(tidegate_scheduler_stats(NULL, &stats), NULL_POINTER);
  STATUS(tidegate_scheduler_check_invariants(NULL, NULL, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_last_error(NULL, &error), NULL_POINTER);
  STATUS(tidegate_scheduler_last_error_message(NULL, NULL, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_device_add(NULL, 0, &device, &number), NULL_POINTER);
  STATUS(tidegate_scheduler_device_resize(NULL, 0, 0, units, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_device_lost(NULL, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_resize(NULL, 0, 0, units, 0, 0), NULL_POINTER);
  STATUS(tidegate_scheduler_worker_usage(NULL, 0, 0, units), NULL_POINTER);
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
  tidegate_error_t error = TIDEGATE_ERROR_INIT;
  tidegate_device_spec_t device = TIDEGATE_DEVICE_SPEC_INIT;
  tidegate_amendment_t amendment = TIDEGATE_AMENDMENT_INIT;
  tidegate_explanation_t explanation = TIDEGATE_EXPLANATION_INIT;
  uint64_t request = 0;
  uint32_t number;
  spec.struct_size--;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), STRUCT_SIZE);
  spec.struct_size = 0;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), STRUCT_SIZE);
  spec.struct_size = UINT32_MAX;
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), STRUCT_SIZE);
  worker.struct_size = 4;
  STATUS(tidegate_scheduler_worker_add(s, 0, &worker, NULL, 0, &number), STRUCT_SIZE);
  CHECK(says(s, "spec: struct_size is 4, this library knows 40 to 40"));
  grown.usage.struct_size = sizeof grown;
  STATUS(tidegate_scheduler_complete(s, 0, 12345, 1, &grown.usage), TIDEGATE_STATUS_UNKNOWN_REQUEST);
  grown.newer = 1;
  STATUS(tidegate_scheduler_complete(s, 0, 12345, 1, &grown.usage), STRUCT_SIZE);
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
  STATUS(tidegate_scheduler_in_use(s, 0, 2, units), TIDEGATE_STATUS_UNKNOWN_TIER);
  STATUS(tidegate_scheduler_effective_reserve(s, 2, 0, units), TIDEGATE_STATUS_UNKNOWN_POOL);
  STATUS(tidegate_scheduler_waiting_demand(s, UINT32_MAX, 0, units), TIDEGATE_STATUS_UNKNOWN_POOL);
}

/* What the scheduler refuses. */

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

/* What stays as it was. */

static void nothing_changed(tidegate_scheduler_t *s) {
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  tidegate_action_t actions[8];
  uint64_t units[TIDEGATE_DIMENSIONS], at = 0;
  size_t count = 99;
  STATUS(tidegate_scheduler_poll(s, 0, actions, 8, &count), OK);
  CHECK(count == 0);
  STATUS(tidegate_scheduler_stats(s, &stats), OK);
  CHECK(stats.struct_size == sizeof stats && stats.submitted == 0 && stats.live == 0);
  STATUS(tidegate_scheduler_effective_reserve(s, 0, 0, units), OK);
  CHECK(units[0] == 2 && units[1] == 12 && units[2] == 0 && units[3] == 0);
  STATUS(tidegate_scheduler_in_use(s, 0, 0, units), OK);
  CHECK(units[0] == 0);
  STATUS(tidegate_scheduler_waiting_demand(s, 0, 1, units), OK);
  CHECK(units[0] == 0);
  STATUS(tidegate_scheduler_poll_timeout(s, &at), OK);
  CHECK(at == TIDEGATE_NEVER);
  STATUS(tidegate_scheduler_check_invariants(s, NULL, 0, NULL), OK);
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
  refused_requests(s);
  unknown_requests(s);
  refused_fleet(s);
  nothing_changed(s);
  tidegate_scheduler_free(s);
  full_queues();
  full_of_tokens();
  refused_devices();
  refused_tenants();
  refused_quota();
  refused_steps();
  amendments();
  other_configs();
  reports_out_of_place();
  return surprises == 0 ? 0 : 1;
}
