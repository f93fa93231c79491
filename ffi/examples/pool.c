/* The smallest host: four threads stand for the slots of an engine, and tidegate says whose turn it is.
 *
 *     cc pool.c $(pkg-config --cflags --libs tidegate) -pthread
 */
#define _POSIX_C_SOURCE 200809L
#include "tidegate.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 4, REQUESTS = 40 };

static const char CONFIG[] = "dimensions = ['slots']\n"
                             "[[tiers]]\nname = 'urgent'\nreserve_ppm = 250000\n"
                             "[[tiers]]\nname = 'batch'\n";
static tidegate_shared_t *shared; /* all threads use it at once */
static int starts[2];             /* a pipe from the engine's thread to its slots */

static void must(tidegate_status_t status) {
  if (status == TIDEGATE_STATUS_OK) return;
  fprintf(stderr, "pool.c: %s\n", tidegate_status_str(status));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Takes a start, does the work, reports the end; again and again. */
static void *slot(void *unused) {
  const struct timespec millisecond = {0, 1000000};
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  tidegate_action_t start;
  usage.output_tokens = 1;
  while (read(starts[0], &start, sizeof start) == sizeof start) {
    nanosleep(&millisecond, NULL); /* the work */
    must(tidegate_shared_complete(shared, now_ns(), start.request, start.attempt, &usage, NULL));
  }
  return unused;
}

int main(void) {
  tidegate_config_t *config;
  tidegate_scheduler_t *scheduler;
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_request_spec_t spec = TIDEGATE_REQUEST_SPEC_INIT;
  tidegate_outcome_t outcome;
  pthread_t threads[SLOTS];
  uint64_t wake_at;
  size_t told;
  uint32_t number, more;
  int i, started = 0;
  must(tidegate_config_from_toml(CONFIG, sizeof CONFIG - 1, NULL, 0, NULL, &config));
  must(tidegate_scheduler_new(config, now_ns(), &scheduler));
  worker.capacity[0] = SLOTS;
  must(tidegate_scheduler_worker_add(scheduler, now_ns(), &worker, NULL, 0, &number));
  must(tidegate_scheduler_tenant_set(scheduler, now_ns(), "acme", 4, &spec.tenant));
  must(tidegate_shared_new(scheduler, 1024, &shared));
  must(tidegate_shared_open(shared, &scheduler)); /* a handle for what this thread asks */
  if (pipe(starts) != 0) return 1;
  for (i = 0; i < SLOTS; i++) pthread_create(&threads[i], NULL, slot, NULL);
  spec.yielding = TIDEGATE_YIELD_NEVER; /* such work cannot be stopped: no PREEMPT comes */
  spec.demand[0] = 1;
  for (i = 0; i < REQUESTS; i++) { /* from any thread */
    spec.tier = i % 10 == 9 ? 0 : 1; /* each tenth is urgent */
    must(tidegate_shared_submit(shared, now_ns(), &spec, NULL));
  }
  while (started < REQUESTS) {
    must(tidegate_shared_poll(shared, now_ns(), &outcome, 1, &told, &more));
    if (told == 1 && outcome.kind == TIDEGATE_OUTCOME_ACTION && outcome.action.kind == TIDEGATE_ACTION_START)
      started += write(starts[1], &outcome.action, sizeof outcome.action) > 0;
    must(tidegate_scheduler_poll_timeout(scheduler, &wake_at));
    if (!more && started < REQUESTS) must(tidegate_shared_wait(shared, now_ns(), wake_at, &more));
  }
  close(starts[1]); /* no more work: the slots end */
  for (i = 0; i < SLOTS; i++) pthread_join(threads[i], NULL);
  printf("%d requests done\n", started);
  tidegate_config_free(config);
  tidegate_scheduler_free(scheduler);
  tidegate_shared_free(shared);
  return 0;
}
