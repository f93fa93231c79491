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

enum { SLOTS = 4, REQUESTS = 40 };

static const char CONFIG[] = "dimensions = ['slots']\n"
                             "[[tiers]]\nname = 'urgent'\nreserve_ppm = 250000\n"
                             "[[tiers]]\nname = 'batch'\n";

static tidegate_scheduler_t *scheduler; /* for whoever holds the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* something was told to the scheduler */
static int ended;

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

/* Until something changed, or the scheduler wants to be asked again. */
static void wait_for_change(void) {
  struct timespec until;
  uint64_t at_ns;
  must(tidegate_scheduler_poll_timeout(scheduler, &at_ns));
  until.tv_sec = (time_t)(at_ns / 1000000000 % 1000000000000); /* TIDEGATE_NEVER too is a date that clocks take */
  until.tv_nsec = (long)(at_ns % 1000000000);
  pthread_cond_timedwait(&changed, &lock, &until);
}

/* Takes a start, does the work, reports the end; again and again. */
static void *slot(void *unused) {
  const struct timespec millisecond = {0, 1000000};
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  tidegate_action_t action;
  size_t count;
  (void)unused;
  usage.output_tokens = 1;
  pthread_mutex_lock(&lock);
  while (ended < REQUESTS) {
    must(tidegate_scheduler_poll(scheduler, now_ns(), &action, 1, &count));
    if (count == 0) wait_for_change();
    if (count == 0 || action.kind != TIDEGATE_ACTION_START) continue;
    pthread_mutex_unlock(&lock);
    nanosleep(&millisecond, NULL); /* the work */
    pthread_mutex_lock(&lock);
    must(tidegate_scheduler_complete(scheduler, now_ns(), action.request, action.attempt, &usage));
    ended++;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void set_up(tidegate_request_spec_t *spec) {
  tidegate_config_t *config = NULL;
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  pthread_condattr_t monotonic;
  uint32_t number;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&changed, &monotonic);
  must(tidegate_config_from_toml(CONFIG, sizeof CONFIG - 1, NULL, 0, NULL, &config));
  must(tidegate_scheduler_new(config, now_ns(), &scheduler));
  tidegate_config_free(config);
  worker.capacity[0] = SLOTS;
  must(tidegate_scheduler_worker_add(scheduler, now_ns(), &worker, NULL, 0, &number));
  must(tidegate_scheduler_tenant_set(scheduler, now_ns(), "acme", 4, &spec->tenant));
  spec->yielding = TIDEGATE_YIELD_NEVER; /* such work cannot be stopped: no PREEMPT comes */
  spec->demand[0] = 1;
}

int main(void) {
  tidegate_request_spec_t spec = TIDEGATE_REQUEST_SPEC_INIT;
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  pthread_t threads[SLOTS];
  uint64_t request;
  int i;
  set_up(&spec);
  for (i = 0; i < SLOTS; i++) pthread_create(&threads[i], NULL, slot, NULL);
  for (i = 0; i < REQUESTS; i++) {
    pthread_mutex_lock(&lock);
    spec.tier = i % 10 == 9 ? 0 : 1; /* each tenth is urgent */
    must(tidegate_scheduler_submit(scheduler, now_ns(), &spec, &request));
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  for (i = 0; i < SLOTS; i++) pthread_join(threads[i], NULL);
  must(tidegate_scheduler_stats(scheduler, &stats));
  printf("%d requests completed\n", (int)stats.completed);
  tidegate_scheduler_free(scheduler);
  pthread_cond_destroy(&changed);
  return stats.completed == REQUESTS ? 0 : 1;
}
