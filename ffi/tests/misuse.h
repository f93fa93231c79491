/* What the programs that misuse the library share: how they check, and what they misuse. Each program's exit status is 0
 * if all was as expected, 1 with one line for each thing that was not.
 */
#ifndef TIDEGATE_TESTS_MISUSE_H
#define TIDEGATE_TESTS_MISUSE_H

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

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) {                                                      \
      printf("%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);  \
      surprises++;                                                           \
    }                                                                        \
  } while (0)

#define STATUS(call, wanted)                                                 \
  do {                                                                       \
    uint32_t got_ = (call);                                                  \
    if (got_ != (wanted)) {                                                  \
      printf("%s:%d: %s: got %s, wanted %s\n", __FILE__, __LINE__, #call,    \
             tidegate_status_str(got_), tidegate_status_str(wanted));        \
      surprises++;                                                           \
    }                                                                        \
  } while (0)

#define OK TIDEGATE_STATUS_OK
#define NULL_POINTER TIDEGATE_STATUS_NULL_POINTER
#define OUT_OF_RANGE TIDEGATE_STATUS_OUT_OF_RANGE
#define STRUCT_SIZE TIDEGATE_STATUS_STRUCT_SIZE

static inline tidegate_error_t last(const tidegate_scheduler_t *s) {
  tidegate_error_t error = TIDEGATE_ERROR_INIT;
  STATUS(tidegate_scheduler_last_error(s, &error), OK);
  return error;
}

static inline int says(const tidegate_scheduler_t *s, const char *words) {
  char message[256];
  size_t len = 0;
  STATUS(tidegate_scheduler_last_error_message(s, message, sizeof message, &len), OK);
  CHECK(len == strlen(message));
  if (strcmp(message, words) == 0) return 1;
  printf("the message is: %s\n", message);
  return 0;
}

static inline tidegate_config_t *config_of(const char *toml) {
  tidegate_config_t *config = NULL;
  STATUS(tidegate_config_from_toml(toml, strlen(toml), NULL, 0, NULL, &config), OK);
  if (config == NULL) exit(1);
  return config;
}

/* A scheduler with one tenant, and one worker of 4 slots and 40 blocks in pool 0. */
static inline tidegate_scheduler_t *scheduler_of(const char *toml) {
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

static inline tidegate_request_spec_t request_of(uint32_t tier) {
  tidegate_request_spec_t spec = TIDEGATE_REQUEST_SPEC_INIT;
  spec.tier = tier;
  spec.demand[0] = 1;
  spec.demand[1] = 10;
  return spec;
}

/* Submits a request and has it started. */
static inline tidegate_action_t start_one(tidegate_scheduler_t *s, uint64_t now) {
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

/* What stays as it was. */

static inline void nothing_changed(tidegate_scheduler_t *s) {
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

#endif
