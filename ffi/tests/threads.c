/* Many threads use one scheduler: clients submit, cancel, and ask by handles of their own; the engine's thread polls and
 * sleeps, and others report. In the end every request has ended, and what was told adds up.
 */
#define _POSIX_C_SOURCE 200809L
#include "misuse.h"

#include <pthread.h>
#include <time.h>

#define CLIENTS 4
#define RUNNERS 2
#define REQUESTS_EACH 60
#define ROOM 16

static const char SHARED[] =
    "dimensions = [\"slots\", \"kv_blocks\"]\n"
    "[[tiers]]\n"
    "name = \"realtime\"\n"
    "reserve_ppm = 300000\n"
    "[[tiers]]\n"
    "name = \"batch\"\n";

/* Actions on their way from the engine's thread to those that run requests. */
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t bell;
  tidegate_action_t actions[CLIENTS * REQUESTS_EACH * 4];
  size_t put, taken;
  int closed;
} line_t;

typedef struct {
  const tidegate_shared_t *shared;
  line_t *line;
  int surprises;
} runner_t;

typedef struct {
  const tidegate_shared_t *shared;
  line_t *line;
  uint64_t tickets[CLIENTS * REQUESTS_EACH]; /* by tag */
  size_t accepted, refused, cancelled;
  uint64_t completed;
  int surprises;
} engine_t;

typedef struct {
  const tidegate_shared_t *shared;
  uint64_t first_tag;
  uint64_t tickets[REQUESTS_EACH];
  int surprises;
} client_t;

/* CHECK writes to what all share; these do not. */
#define HOLDS(counter, condition)                                              \
  do {                                                                         \
    if (!(condition)) {                                                        \
      printf("%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);    \
      (counter)->surprises++;                                                  \
    }                                                                          \
  } while (0)

static uint64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void breathe(void) {
  const struct timespec span = {0, 200000};
  nanosleep(&span, NULL);
}

static void submit_one(client_t *client, size_t index, uint64_t *before) {
  tidegate_request_spec_t spec = request_of((uint32_t)(index % 2));
  tidegate_status_t status;
  spec.tag = client->first_tag + index;
  if (index % 7 == 3) spec.demand[1] = 41; /* never fits */
  while ((status = tidegate_shared_submit(client->shared, now(), &spec, &client->tickets[index])) ==
         TIDEGATE_STATUS_BUSY) {
    breathe();
  }
  HOLDS(client, status == OK && client->tickets[index] > *before);
  *before = client->tickets[index];
}

/* Asks on the spot, with a handle of its own. */
static void ask(client_t *client, tidegate_scheduler_t *mine) {
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  tidegate_request_spec_t spec = request_of(0);
  tidegate_error_t error = TIDEGATE_ERROR_INIT;
  tidegate_status_t status;
  uint64_t request = 0;
  HOLDS(client, tidegate_scheduler_stats(mine, &stats) == OK);
  HOLDS(client, stats.submitted ==
                    stats.completed + stats.failed + stats.cancelled + stats.dropped + stats.live);
  spec.tenant = 7;
  status = tidegate_scheduler_submit(mine, now(), &spec, &request);
  HOLDS(client, status == TIDEGATE_STATUS_UNKNOWN_TENANT || status == TIDEGATE_STATUS_BUSY);
  HOLDS(client, tidegate_scheduler_last_error(mine, &error) == OK && error.status == status);
}

static void *client_of(void *argument) {
  client_t *client = (client_t *)argument;
  tidegate_scheduler_t *mine = NULL;
  uint64_t before = 0;
  size_t index;
  HOLDS(client, tidegate_shared_open(client->shared, &mine) == OK);
  for (index = 0; index < REQUESTS_EACH; index++) {
    submit_one(client, index, &before);
    if (index % 5 == 4) {
      while (tidegate_shared_cancel(client->shared, now(), client->tickets[index]) == TIDEGATE_STATUS_BUSY) breathe();
    }
    if (index % 10 == 9) ask(client, mine);
  }
  tidegate_scheduler_free(mine);
  return NULL;
}

static void put(engine_t *engine, const tidegate_action_t *action) {
  line_t *line = engine->line;
  pthread_mutex_lock(&line->lock);
  HOLDS(engine, line->put < sizeof line->actions / sizeof *line->actions);
  line->actions[line->put++] = *action;
  pthread_cond_signal(&line->bell);
  pthread_mutex_unlock(&line->lock);
}

/* The next action, or 0 if there will be none. */
static int take(line_t *line, tidegate_action_t *action) {
  int taken;
  pthread_mutex_lock(&line->lock);
  while (line->taken == line->put && !line->closed) pthread_cond_wait(&line->bell, &line->lock);
  taken = line->taken < line->put;
  if (taken) *action = line->actions[line->taken++];
  pthread_mutex_unlock(&line->lock);
  return taken;
}

static void close_line(line_t *line) {
  pthread_mutex_lock(&line->lock);
  line->closed = 1;
  pthread_cond_broadcast(&line->bell);
  pthread_mutex_unlock(&line->lock);
}

static tidegate_status_t report(const tidegate_shared_t *shared, const tidegate_action_t *action, int end) {
  const uint64_t units[TIDEGATE_DIMENSIONS] = {1, 10, 0, 0};
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  if (action->kind == TIDEGATE_ACTION_PREEMPT) {
    return tidegate_shared_preempted(shared, now(), action->request, action->attempt, 0, 0, NULL);
  }
  if (!end) return tidegate_shared_started(shared, now(), action->request, action->attempt, 0, units, NULL);
  return tidegate_shared_complete(shared, now(), action->request, action->attempt, &usage, NULL);
}

/* Runs requests: each ends as soon as it has started. */
static void *runner_of(void *argument) {
  runner_t *runner = (runner_t *)argument;
  tidegate_action_t action;
  while (take(runner->line, &action)) {
    int end;
    for (end = 0; end <= (action.kind == TIDEGATE_ACTION_START); end++) {
      tidegate_status_t status;
      while ((status = report(runner->shared, &action, end)) == TIDEGATE_STATUS_BUSY) breathe();
      HOLDS(runner, status == OK);
    }
  }
  return NULL;
}

static void hear_refusal(engine_t *engine, const tidegate_outcome_t *told) {
  if (told->status == TIDEGATE_STATUS_NEVER_FITS) {
    HOLDS(engine, told->tag % REQUESTS_EACH % 7 == 3 && told->need == 41 && told->max == 40 && told->subject == 1);
    engine->refused++;
    return;
  }
  /* Of a victim two threads say different things at once. */
  HOLDS(engine, told->status == TIDEGATE_STATUS_ALREADY_TERMINAL || told->status == TIDEGATE_STATUS_WRONG_STATE ||
                    told->status == TIDEGATE_STATUS_STALE_ATTEMPT);
  HOLDS(engine, told->tag == 0 && told->ticket != 0 && told->request != 0);
}

static void hear(engine_t *engine, const tidegate_outcome_t *told) {
  switch (told->kind) {
    case TIDEGATE_OUTCOME_ACTION:
      if (told->action.kind <= TIDEGATE_ACTION_PREEMPT) put(engine, &told->action);
      break;
    case TIDEGATE_OUTCOME_ACCEPTED:
      HOLDS(engine, told->tag < CLIENTS * REQUESTS_EACH && told->tag % REQUESTS_EACH % 7 != 3 && told->request != 0);
      engine->tickets[told->tag] = told->ticket;
      engine->accepted++;
      break;
    case TIDEGATE_OUTCOME_REFUSED:
      hear_refusal(engine, told);
      break;
    case TIDEGATE_OUTCOME_CANCELLED:
      HOLDS(engine, told->ticket != 0 && told->request != 0);
      engine->cancelled++;
      break;
    case TIDEGATE_OUTCOME_STOP_FIRST:
      break; /* it ends by itself, soon */
    default:
      HOLDS(engine, 0);
  }
}

/* Whether all that clients submit was told, and has ended. */
static int at_the_end(engine_t *engine, const tidegate_scheduler_t *mine) {
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  HOLDS(engine, tidegate_scheduler_stats(mine, &stats) == OK);
  engine->completed = stats.completed;
  return engine->accepted + engine->refused == CLIENTS * REQUESTS_EACH && stats.live == 0;
}

static void *engine_of(void *argument) {
  engine_t *engine = (engine_t *)argument;
  tidegate_scheduler_t *mine = NULL;
  tidegate_outcome_t told[ROOM];
  size_t count, index;
  uint64_t at = 0;
  uint32_t more, work = 0;
  HOLDS(engine, tidegate_shared_open(engine->shared, &mine) == OK);
  for (;;) {
    do {
      HOLDS(engine, tidegate_shared_poll(engine->shared, now(), told, ROOM, &count, &more) == OK);
      for (index = 0; index < count; index++) hear(engine, &told[index]);
    } while (more != 0);
    if (at_the_end(engine, mine)) break;
    HOLDS(engine, tidegate_scheduler_poll_timeout(mine, &at) == OK);
    HOLDS(engine, tidegate_shared_wait(engine->shared, now(), at, &work) == OK);
  }
  HOLDS(engine, tidegate_scheduler_check_invariants(mine, NULL, 0, NULL) == OK);
  tidegate_scheduler_free(mine);
  close_line(engine->line);
  return NULL;
}

static tidegate_shared_t *shared_of(const char *toml, size_t intake) {
  tidegate_shared_t *shared = NULL;
  STATUS(tidegate_shared_new(scheduler_of(toml), intake, &shared), OK);
  if (shared == NULL) exit(1);
  return shared;
}

static void many_threads(void) {
  static line_t line = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, 0, 0, 0};
  static engine_t engine;
  static client_t clients[CLIENTS];
  static runner_t runners[RUNNERS];
  tidegate_shared_t *shared = shared_of(SHARED, 8);
  pthread_t threads[CLIENTS + RUNNERS + 1];
  size_t i;
  engine.shared = shared;
  engine.line = &line;
  CHECK(pthread_create(&threads[CLIENTS + RUNNERS], NULL, engine_of, &engine) == 0);
  for (i = 0; i < RUNNERS; i++) {
    runners[i].shared = shared;
    runners[i].line = &line;
    CHECK(pthread_create(&threads[CLIENTS + i], NULL, runner_of, &runners[i]) == 0);
  }
  for (i = 0; i < CLIENTS; i++) {
    clients[i].shared = shared;
    clients[i].first_tag = i * REQUESTS_EACH;
    CHECK(pthread_create(&threads[i], NULL, client_of, &clients[i]) == 0);
  }
  for (i = 0; i < CLIENTS + RUNNERS + 1; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  for (i = 0; i < CLIENTS; i++) surprises += clients[i].surprises;
  for (i = 0; i < RUNNERS; i++) surprises += runners[i].surprises;
  surprises += engine.surprises;
  CHECK(engine.accepted + engine.refused == CLIENTS * REQUESTS_EACH);
  CHECK(engine.completed + engine.cancelled == engine.accepted);
  for (i = 0; i < CLIENTS * REQUESTS_EACH; i++) {
    const uint64_t ticket = clients[i / REQUESTS_EACH].tickets[i % REQUESTS_EACH];
    CHECK(engine.tickets[i] == (i % REQUESTS_EACH % 7 == 3 ? 0 : ticket));
  }
  tidegate_shared_free(shared);
}

static void *wakes(void *argument) {
  breathe();
  return tidegate_shared_wake((const tidegate_shared_t *)argument) == OK ? NULL : argument;
}

/* Nothing but a word of another thread ends this sleep. */
static void sleep_and_wake(void) {
  tidegate_shared_t *shared = shared_of(SHARED, 1);
  tidegate_outcome_t told;
  pthread_t thread;
  void *failed = NULL;
  size_t count = 0;
  uint32_t more = 1, work = 0;
  while (more != 0) STATUS(tidegate_shared_poll(shared, 0, &told, 1, &count, &more), OK);
  CHECK(pthread_create(&thread, NULL, wakes, shared) == 0);
  while (work == 0) STATUS(tidegate_shared_wait(shared, 0, TIDEGATE_NEVER, &work), OK);
  CHECK(pthread_join(thread, &failed) == 0 && failed == NULL);
  STATUS(tidegate_shared_poll(shared, 0, &told, 1, &count, &more), OK);
  CHECK(count == 0 && more == 0);
  STATUS(tidegate_shared_wait(shared, 5, 5, &work), OK);
  CHECK(work == 0);
  tidegate_shared_free(shared);
}

int main(void) {
  CHECK(sizeof(tidegate_outcome_t) == 192);
  sleep_and_wake();
  many_threads();
  return surprises == 0 ? 0 : 1;
}
