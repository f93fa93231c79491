/* Schedules a small mixed workload on two workers of four slots, prints what happens, and checks the outcome.
 *
 * A batch tier fills both workers, borrowing what nobody uses. Then two urgent requests come: the scheduler
 * has two batch requests stopped, keeps what they computed, and starts the urgent ones within milliseconds.
 * Everything ends. The time is the program's own: it jumps to whatever happens next.
 */
#include "tidegate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define JOBS 11
#define ACTIONS 4

static const char CONFIG[] =
    "dimensions = [\"slots\"]\n"
    "min_run = \"1s\"\n"
    "[[tiers]]\n"
    "name = \"realtime\"\n"
    "reserve_ppm = 300000\n"
    "[[tiers]]\n"
    "name = \"near-realtime\"\n"
    "[[tiers]]\n"
    "name = \"batch\"\n"
    "reserve_ppm = 50000\n";

enum { REALTIME, NEAR, BATCH };
static const char *const TIERS[] = {"realtime", "near-realtime", "batch"};

/* What the host knows of a request. A token takes a millisecond; stopping takes five. */
typedef struct {
  uint32_t tier;
  uint64_t submit_at, tokens;
  uint64_t id;
  uint32_t attempt;
  int running, ended;
  uint64_t tokens_done, resumed_at, stops_at;
  uint64_t first_start_at;
  unsigned preempted;
} job;

typedef struct {
  tidegate_scheduler_t *scheduler;
  uint32_t tenant;
  uint64_t now;
  job jobs[JOBS];
} host;

#define MUST(call) must((call), #call, __LINE__)
#define EXPECT(condition) expect((condition) ? 1 : 0, #condition, __LINE__)

static void must(tidegate_status_t status, const char *call, int line) {
  if (status == TIDEGATE_STATUS_OK) return;
  fprintf(stderr, "mixed.c:%d: %s: %s\n", line, call, tidegate_status_str(status));
  exit(1);
}

static void expect(int holds, const char *condition, int line) {
  if (holds) return;
  fprintf(stderr, "mixed.c:%d: does not hold: %s\n", line, condition);
  exit(1);
}

static job *find(host *h, uint64_t id) {
  size_t j;
  for (j = 0; j < JOBS; j++)
    if (h->jobs[j].id == id) return &h->jobs[j];
  fprintf(stderr, "mixed.c: an action speaks of request %" PRIu64 ", which was never submitted\n", id);
  exit(1);
}

static void say(const host *h, const job *j, const char *what, uint32_t reason) {
  printf("%7.3f s  %-13s #%d  %s", (double)h->now / 1e9, TIERS[j->tier], (int)(j - h->jobs), what);
  if (reason != 0) printf(" (%s)", tidegate_reason_str(reason));
  printf("\n");
}

/* What the host does when something is due. */

static void submit(host *h, job *j) {
  tidegate_request_spec_t spec = TIDEGATE_REQUEST_SPEC_INIT;
  spec.tenant = h->tenant;
  spec.tier = j->tier;
  spec.yielding = TIDEGATE_YIELD_CHECKPOINT;
  spec.demand[0] = 1;
  spec.output_tokens = j->tokens;
  spec.flags = TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS;
  MUST(tidegate_scheduler_submit(h->scheduler, h->now, &spec, &j->id));
}

static void stop(host *h, job *j) {
  j->running = 0;
  j->tokens_done += (h->now - j->resumed_at) / MS;
  j->preempted++;
  say(h, j, "stopped", 0);
  MUST(tidegate_scheduler_preempted(h->scheduler, h->now, j->id, j->attempt, j->tokens_done, 0));
}

static void complete(host *h, job *j) {
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  usage.output_tokens = j->tokens;
  j->running = 0;
  j->ended = 1;
  say(h, j, "complete", 0);
  MUST(tidegate_scheduler_complete(h->scheduler, h->now, j->id, j->attempt, &usage));
}

static uint64_t due_at(const job *j) {
  uint64_t end = j->resumed_at + (j->tokens - j->tokens_done) * MS;
  if (j->id == 0) return j->submit_at;
  if (!j->running) return TIDEGATE_NEVER;
  return j->stops_at < end ? j->stops_at : end;
}

static void happen(host *h, job *j) {
  if (j->id == 0)
    submit(h, j);
  else if (h->now == j->stops_at)
    stop(h, j);
  else
    complete(h, j);
}

/* What the scheduler wants. */

static void start(host *h, const tidegate_action_t *action) {
  job *j = find(h, action->request);
  EXPECT(!j->running && !j->ended);
  EXPECT(action->resume_tokens == j->tokens_done);
  EXPECT(action->worker < 2);
  if (j->attempt == 0) j->first_start_at = h->now;
  j->attempt = action->attempt;
  j->running = 1;
  j->resumed_at = h->now;
  j->stops_at = TIDEGATE_NEVER;
  say(h, j, action->resume_tokens == 0 ? "start" : "go on", action->reason);
}

static void preempt(host *h, const tidegate_action_t *action) {
  job *j = find(h, action->request);
  EXPECT(j->running && j->attempt == action->attempt);
  EXPECT(action->mode == TIDEGATE_YIELD_CHECKPOINT);
  EXPECT(find(h, action->beneficiary)->tier < j->tier);
  j->stops_at = h->now + 5 * MS;
  EXPECT(j->stops_at < action->confirm_by_ns);
  say(h, j, "preempt", action->reason);
}

static void round_of_polls(host *h) {
  tidegate_action_t actions[ACTIONS];
  size_t count, a;
  do {
    MUST(tidegate_scheduler_poll(h->scheduler, h->now, actions, ACTIONS, &count));
    for (a = 0; a < count; a++) {
      EXPECT(actions[a].kind == TIDEGATE_ACTION_START || actions[a].kind == TIDEGATE_ACTION_PREEMPT);
      if (actions[a].kind == TIDEGATE_ACTION_START)
        start(h, &actions[a]);
      else
        preempt(h, &actions[a]);
    }
  } while (count == ACTIONS);
}

/* Goes on to whatever is due next; 0 if nothing is. */
static int step(host *h) {
  uint64_t next;
  size_t j;
  MUST(tidegate_scheduler_poll_timeout(h->scheduler, &next));
  for (j = 0; j < JOBS; j++)
    if (due_at(&h->jobs[j]) < next) next = due_at(&h->jobs[j]);
  if (next == TIDEGATE_NEVER) return 0;
  if (next > h->now) h->now = next;
  for (j = 0; j < JOBS; j++)
    if (due_at(&h->jobs[j]) <= h->now) happen(h, &h->jobs[j]);
  round_of_polls(h);
  MUST(tidegate_scheduler_check_invariants(h->scheduler, NULL, 0, NULL));
  return 1;
}

/* The run. */

static void set_up(host *h) {
  tidegate_config_t *config;
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  char message[256] = "";
  uint32_t number, w;
  EXPECT(tidegate_abi_version() == TIDEGATE_ABI_VERSION);
  if (tidegate_config_from_toml(CONFIG, strlen(CONFIG), message, sizeof message, NULL, &config) !=
      TIDEGATE_STATUS_OK) {
    fprintf(stderr, "mixed.c: the config: %s\n", message);
    exit(1);
  }
  MUST(tidegate_config_find_tier(config, TIERS[BATCH], strlen(TIERS[BATCH]), &number));
  EXPECT(number == BATCH);
  MUST(tidegate_scheduler_new(config, 0, &h->scheduler));
  tidegate_config_free(config);
  MUST(tidegate_scheduler_tenant_set(h->scheduler, 0, "acme", 4, &h->tenant));
  worker.capacity[0] = 4;
  for (w = 0; w < 2; w++) {
    MUST(tidegate_scheduler_worker_add(h->scheduler, 0, &worker, NULL, 0, &number));
    EXPECT(number == w);
  }
}

/* Eight batch requests at once, two urgent ones while they run, and one in between that can wait. */
static void set_jobs(host *h) {
  size_t j;
  for (j = 0; j < 8; j++) {
    h->jobs[j].tier = BATCH;
    h->jobs[j].tokens = 4000;
  }
  for (; j < JOBS; j++) {
    h->jobs[j].tier = j == 10 ? NEAR : REALTIME;
    h->jobs[j].submit_at = 2 * S;
    h->jobs[j].tokens = 500;
  }
}

static void check_outcome(host *h) {
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  unsigned preempted = 0;
  uint64_t delay;
  size_t j;
  MUST(tidegate_scheduler_stats(h->scheduler, &stats));
  for (j = 0; j < JOBS; j++) {
    EXPECT(h->jobs[j].ended);
    preempted += h->jobs[j].preempted;
    delay = h->jobs[j].first_start_at - h->jobs[j].submit_at;
    if (h->jobs[j].tier == REALTIME) EXPECT(delay == 5 * MS);
    if (h->jobs[j].tier == NEAR) EXPECT(delay >= 5 * MS);
    if (h->jobs[j].tier != BATCH) EXPECT(h->jobs[j].preempted == 0);
  }
  EXPECT(preempted == 2);
  EXPECT(stats.submitted == JOBS && stats.completed == JOBS && stats.live == 0);
  EXPECT(stats.by_reason[TIDEGATE_REASON_RECLAIM] == 2);
  EXPECT(stats.by_reason[TIDEGATE_REASON_RECLAIMED] == 2);
  printf("%d requests completed, %u preemptions, urgent ones waited 5 ms\n", JOBS, preempted);
}

int main(void) {
  static host h;
  unsigned steps = 0;
  set_up(&h);
  set_jobs(&h);
  while (step(&h)) EXPECT(++steps < 1000);
  check_outcome(&h);
  tidegate_scheduler_free(h.scheduler);
  return 0;
}
