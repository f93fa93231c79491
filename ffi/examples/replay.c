/* Replays a journal through the public functions, and hashes the actions that came out of them.
 *
 *     replay JOURNAL [--corrupt N | --usage]
 *
 * The format and the digest are those of docs/JOURNAL.md; nothing of the library is used to compute the
 * digest. The last line is `digest HEX actions N inputs M`. --corrupt flips the lowest bit of the request of
 * the Nth action before it is hashed, to show that the digest tells. --usage prints a line before that for each
 * tenant that is known at the end. Exit status: 0 done, 2 bad input or usage.
 */
#include "tidegate.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of the text that is not read yet. */
typedef struct {
  const char *path;
  const char *at;
  const char *end;
  unsigned long line;
} reader;

typedef struct {
  tidegate_scheduler_t *scheduler;
  uint64_t digest;
  uint64_t actions;
  uint64_t inputs;
  uint64_t corrupt;
  /* Above all numbers of tenants. */
  uint32_t tenants;
} replay;

static void fail(const reader *in, const char *what) {
  fprintf(stderr, "%s:%lu: %s\n", in->path, in->line, what);
  exit(2);
}

/* Reading. */

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  size_t capacity = 1 << 16, used = 0, got;
  char *text = (char *)malloc(capacity);
  if (file == NULL || text == NULL) {
    fprintf(stderr, "%s: cannot be opened\n", path);
    exit(2);
  }
  while ((got = fread(text + used, 1, capacity - used, file)) > 0) {
    used += got;
    if (used == capacity) {
      char *larger = (char *)realloc(text, capacity *= 2);
      if (larger == NULL) {
        fprintf(stderr, "%s: does not fit into memory\n", path);
        exit(2);
      }
      text = larger;
    }
  }
  if (ferror(file)) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(2);
  }
  fclose(file);
  *size = used;
  return text;
}

/* Cuts the next line off the text; its reader ends where the LF stood. */
static reader next_line(reader *in) {
  reader line = *in;
  const char *lf = in->at == in->end ? NULL : (const char *)memchr(in->at, '\n', (size_t)(in->end - in->at));
  line.line = ++in->line;
  if (lf == NULL) fail(&line, "the file is torn: it ends without a whole `end` line");
  line.end = lf;
  in->at = lf + 1;
  return line;
}

static void at_end(const reader *line) {
  if (line->at != line->end) fail(line, "the line has too many fields");
}

/* Whether the line goes on with this word and a space or its end, which is then read. */
static int take_word(reader *in, const char *word) {
  size_t len = strlen(word);
  if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0) return 0;
  if (in->at + len == in->end) {
    in->at += len;
    return 1;
  }
  if (in->at[len] != ' ') return 0;
  in->at += len + 1;
  return 1;
}

static uint64_t number(reader *in, uint64_t max) {
  const char *begin = in->at;
  uint64_t value = 0;
  while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
    uint64_t digit = (uint64_t)(*in->at++ - '0');
    if (value > (UINT64_MAX - digit) / 10) fail(in, "a number is too large");
    value = value * 10 + digit;
  }
  if (in->at == begin) fail(in, "a number is missing");
  if (*begin == '0' && in->at - begin > 1) fail(in, "a number has a zero in front");
  if (value > max) fail(in, "a number is too large");
  if (in->at == in->end) return value;
  if (*in->at++ != ' ' || in->at == in->end) fail(in, "a number has something behind it");
  return value;
}

static uint8_t number8(reader *in) { return (uint8_t)number(in, UINT8_MAX); }

static uint32_t number32(reader *in) { return (uint32_t)number(in, UINT32_MAX); }

static void vector(reader *in, uint64_t units[TIDEGATE_DIMENSIONS]) {
  size_t d;
  for (d = 0; d < TIDEGATE_DIMENSIONS; d++) units[d] = number(in, UINT64_MAX);
}

/* Four numbers, or `-` for none; returns `flag` if they are there. */
static uint32_t optional_vector(reader *in, uint64_t units[TIDEGATE_DIMENSIONS], uint32_t flag) {
  if (take_word(in, "-")) return 0;
  vector(in, units);
  return flag;
}

/* Room for `count` items of a list, or as much as the rest of the line can hold. The caller frees it. */
static void *room_for(const reader *in, uint64_t count, size_t item_size) {
  size_t most = (size_t)(in->end - in->at) + 1;
  void *items = calloc(count < most ? (size_t)count + 1 : most, item_size);
  if (items == NULL) fail(in, "the list does not fit into memory");
  return items;
}

/* A number, or `-` for none; returns `flag` if there is one. */
static uint32_t optional(reader *in, uint64_t *value, uint32_t flag) {
  if (take_word(in, "-")) return 0;
  *value = number(in, UINT64_MAX);
  return flag;
}

static uint32_t optional32(reader *in, uint32_t *value, uint32_t flag) {
  if (take_word(in, "-")) return 0;
  *value = number32(in);
  return flag;
}

/* A rate, or `-` for none; returns `flag` if there is one. */
static uint32_t optional_rate(reader *in, tidegate_rate_t *rate, uint32_t flag) {
  if (take_word(in, "-")) return 0;
  rate->amount = number(in, UINT64_MAX);
  rate->period_ns = number(in, UINT64_MAX);
  rate->burst = number(in, UINT64_MAX);
  return flag;
}

/* `-` drains, a number preempts after so long. */
static uint32_t shrink(reader *in, uint64_t *after_ns) {
  return optional(in, after_ns, TIDEGATE_SHRINK_PREEMPT);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

static int is_control(int byte) { return (byte >= 0 && byte < 32) || byte == 127; }

/* The byte that stands here as \xHH; only a backslash and control bytes do. */
static char escaped(reader *in) {
  int high = -1, low = -1, byte;
  if (in->end - in->at >= 4 && in->at[1] == 'x') {
    high = hex_digit(in->at[2]);
    low = hex_digit(in->at[3]);
  }
  byte = high < 0 || low < 0 ? -1 : high * 16 + low;
  if (byte != '\\' && !is_control(byte)) fail(in, "a backslash in the name is not \\xHH of such a byte");
  in->at += 4;
  return (char)byte;
}

/* The rest of the line, with \xHH undone. The caller frees it. */
static char *name(reader *in, size_t *len) {
  char *out = (char *)malloc((size_t)(in->end - in->at) + 1);
  *len = 0;
  if (out == NULL) fail(in, "the name does not fit into memory");
  while (in->at < in->end) {
    if (is_control((unsigned char)*in->at)) fail(in, "a control character stands in the name");
    out[(*len)++] = *in->at == '\\' ? escaped(in) : *in->at++;
  }
  return out;
}

/* The digest. */

static uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xBF58476D1CE4E5B9);
  x ^= x >> 27;
  x *= UINT64_C(0x94D049BB133111EB);
  return x ^ x >> 31;
}

static void hash_action(replay *run, uint64_t now, const tidegate_action_t *action) {
  uint64_t words[8];
  size_t w;
  int is_lease = action->kind == TIDEGATE_ACTION_LEASE_WANTED;
  words[0] = now;
  words[1] = action->kind + 256 * (uint64_t)action->reason + 65536 * (uint64_t)action->mode;
  words[2] = is_lease ? action->tenant : action->request;
  words[3] = is_lease ? action->limit : action->attempt;
  words[4] = action->worker;
  words[5] = action->resume_tokens;
  words[6] = action->beneficiary;
  words[7] = action->confirm_by_ns;
  run->actions++;
  if (run->actions == run->corrupt) words[2] ^= 1;
  for (w = 0; w < 8; w++) run->digest = mix(run->digest ^ words[w]);
}

/* The verbs. */

/* A config that begins below the line, in as many lines as the line says. */
static tidegate_config_t *config_below(reader *line, reader *in) {
  tidegate_config_t *config;
  char message[512] = "the config is not UTF-8";
  uint64_t lines = number(line, UINT64_MAX);
  const char *toml = in->at;
  at_end(line);
  while (lines-- > 0) next_line(in);
  if (tidegate_config_from_toml(toml, (size_t)(in->at - toml), message, sizeof message, NULL, &config) !=
      TIDEGATE_STATUS_OK)
    fail(line, message);
  return config;
}

static tidegate_status_t submit(replay *run, uint64_t now, reader *in) {
  tidegate_request_spec_t spec = TIDEGATE_REQUEST_SPEC_INIT;
  uint64_t request;
  spec.tenant = number32(in);
  spec.tier = number8(in);
  spec.pool = number32(in);
  vector(in, spec.demand);
  vector(in, spec.peak);
  spec.prompt_tokens = number(in, UINT64_MAX);
  spec.cached_tokens = number(in, UINT64_MAX);
  spec.flags |= optional(in, &spec.output_tokens, TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS);
  spec.yielding = number32(in);
  spec.flags |= optional(in, &spec.deadline_ns, TIDEGATE_REQUEST_HAS_DEADLINE);
  spec.flags |= optional(in, &spec.queue_timeout_ns, TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT);
  spec.tag = number(in, UINT64_MAX);
  while (in->at != in->end && spec.other_pools_count < TIDEGATE_OTHER_POOLS)
    spec.other_pools[spec.other_pools_count++] = number32(in);
  return tidegate_scheduler_submit(run->scheduler, now, &spec, &request);
}

static tidegate_status_t tenant_set(replay *run, uint64_t now, reader *in) {
  size_t len;
  char *text = name(in, &len);
  uint32_t tenant = 0;
  tidegate_status_t status = tidegate_scheduler_tenant_set(run->scheduler, now, text, len, &tenant);
  if (status == TIDEGATE_STATUS_OK && tenant >= run->tenants) run->tenants = tenant + 1;
  free(text);
  return status;
}

static tidegate_status_t tenant_configure(replay *run, uint64_t now, reader *in) {
  tidegate_tenant_policy_t policy = TIDEGATE_TENANT_POLICY_INIT;
  uint32_t tenant = number32(in);
  uint64_t parent = 0;
  policy.flags |= optional(in, &parent, TIDEGATE_TENANT_HAS_PARENT);
  if (parent > UINT32_MAX) fail(in, "a number is too large");
  policy.parent = (uint32_t)parent;
  policy.weight = number32(in);
  policy.most_urgent = number8(in);
  policy.flags |= optional_rate(in, &policy.requests, TIDEGATE_TENANT_HAS_REQUESTS);
  policy.flags |= optional_rate(in, &policy.tokens, TIDEGATE_TENANT_HAS_TOKENS);
  if (number(in, 1)) policy.flags |= TIDEGATE_TENANT_LEASED;
  policy.flags |= optional(in, &policy.max_running, TIDEGATE_TENANT_HAS_MAX_RUNNING);
  vector(in, policy.max_in_use);
  policy.flags |= optional(in, &policy.queue_limit, TIDEGATE_TENANT_HAS_QUEUE_LIMIT);
  policy.flags |= optional(in, &policy.queue_token_limit, TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT);
  policy.over_quota = number32(in);
  if (number(in, 1)) policy.flags |= TIDEGATE_TENANT_ALLOW_WHEN_FULL;
  return tidegate_scheduler_tenant_configure(run->scheduler, now, tenant, &policy);
}

static tidegate_status_t lease_granted(replay *run, uint64_t now, reader *in) {
  uint32_t tenant = number32(in), limit = number32(in);
  uint64_t seq = number(in, UINT64_MAX), tokens = number(in, UINT64_MAX);
  return tidegate_scheduler_lease_granted(run->scheduler, now, tenant, limit, seq, tokens, number(in, UINT64_MAX));
}

static tidegate_status_t tenant_remove(replay *run, uint64_t now, reader *in) {
  return tidegate_scheduler_tenant_remove(run->scheduler, now, number32(in));
}

static tidegate_status_t device_add(replay *run, uint64_t now, reader *in) {
  tidegate_device_spec_t spec = TIDEGATE_DEVICE_SPEC_INIT;
  uint32_t device;
  vector(in, spec.limit);
  spec.flags |= optional(in, &spec.checkpoint_mib, TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB);
  return tidegate_scheduler_device_add(run->scheduler, now, &spec, &device);
}

static tidegate_status_t device_resize(replay *run, uint64_t now, reader *in) {
  uint64_t limit[TIDEGATE_DIMENSIONS], after_ns = 0;
  uint32_t device = number32(in), how;
  vector(in, limit);
  how = shrink(in, &after_ns);
  return tidegate_scheduler_device_resize(run->scheduler, now, device, limit, how, after_ns);
}

static tidegate_status_t device_lost(replay *run, uint64_t now, reader *in) {
  return tidegate_scheduler_device_lost(run->scheduler, now, number32(in));
}

static tidegate_status_t worker_add(replay *run, uint64_t now, reader *in) {
  tidegate_worker_spec_t spec = TIDEGATE_WORKER_SPEC_INIT;
  tidegate_device_part_t *parts;
  tidegate_status_t status;
  uint64_t count, p;
  uint32_t worker;
  spec.pool = number32(in);
  vector(in, spec.capacity);
  spec.kind = (uint32_t)number(in, TIDEGATE_WORKER_KIND_MIG);
  spec.flags = number(in, 1) ? TIDEGATE_WORKER_IS_SPARE : 0;
  spec.flags |= optional32(in, &spec.replaces, TIDEGATE_WORKER_REPLACES);
  count = number(in, UINT64_MAX);
  parts = (tidegate_device_part_t *)room_for(in, count, sizeof *parts);
  for (p = 0; p < count; p++) {
    parts[p].device = number32(in);
    parts[p].part_ppm = number32(in);
  }
  status = tidegate_scheduler_worker_add(run->scheduler, now, &spec, parts, (size_t)count, &worker);
  free(parts);
  return status;
}

static tidegate_status_t worker_resize(replay *run, uint64_t now, reader *in) {
  uint64_t capacity[TIDEGATE_DIMENSIONS], after_ns = 0;
  uint32_t worker = number32(in), how;
  vector(in, capacity);
  how = shrink(in, &after_ns);
  return tidegate_scheduler_worker_resize(run->scheduler, now, worker, capacity, how, after_ns);
}

static tidegate_status_t worker_usage(replay *run, uint64_t now, reader *in) {
  uint64_t units[TIDEGATE_DIMENSIONS];
  uint32_t worker = number32(in);
  vector(in, units);
  return tidegate_scheduler_worker_usage(run->scheduler, now, worker, units);
}

/* A list of block hashes, and the call that takes it for a number before it. */
static tidegate_status_t blocks_of(replay *run, uint64_t now, reader *in, uint64_t subject,
                                   tidegate_status_t (*tell)(replay *, uint64_t, uint64_t, const uint64_t *, size_t)) {
  uint64_t count = number(in, UINT64_MAX), b;
  uint64_t *blocks = (uint64_t *)room_for(in, count, sizeof *blocks);
  tidegate_status_t status;
  for (b = 0; b < count; b++) blocks[b] = number(in, UINT64_MAX);
  status = tell(run, now, subject, blocks, (size_t)count);
  free(blocks);
  return status;
}

static tidegate_status_t tell_stored(replay *run, uint64_t now, uint64_t worker, const uint64_t *blocks, size_t n) {
  return tidegate_scheduler_cache_stored(run->scheduler, now, (uint32_t)worker, blocks, n);
}

static tidegate_status_t tell_evicted(replay *run, uint64_t now, uint64_t worker, const uint64_t *blocks, size_t n) {
  return tidegate_scheduler_cache_evicted(run->scheduler, now, (uint32_t)worker, blocks, n);
}

static tidegate_status_t tell_prefix(replay *run, uint64_t now, uint64_t request, const uint64_t *blocks, size_t n) {
  return tidegate_scheduler_prefix_set(run->scheduler, now, request, blocks, n);
}

static tidegate_status_t cache_stored(replay *run, uint64_t now, reader *in) {
  uint32_t worker = number32(in);
  return blocks_of(run, now, in, worker, tell_stored);
}

static tidegate_status_t cache_evicted(replay *run, uint64_t now, reader *in) {
  uint32_t worker = number32(in);
  return blocks_of(run, now, in, worker, tell_evicted);
}

static tidegate_status_t prefix_set(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX);
  return blocks_of(run, now, in, request, tell_prefix);
}

static tidegate_status_t worker_drain(replay *run, uint64_t now, reader *in) {
  return tidegate_scheduler_worker_drain(run->scheduler, now, number32(in));
}

static tidegate_status_t worker_lost(replay *run, uint64_t now, reader *in) {
  return tidegate_scheduler_worker_lost(run->scheduler, now, number32(in));
}

static tidegate_status_t amend(replay *run, uint64_t now, reader *in) {
  tidegate_amendment_t amendment = TIDEGATE_AMENDMENT_INIT;
  uint64_t request = number(in, UINT64_MAX), tier = 0;
  amendment.flags |= optional_vector(in, amendment.demand, TIDEGATE_AMEND_DEMAND);
  amendment.flags |= optional_vector(in, amendment.peak, TIDEGATE_AMEND_PEAK);
  amendment.flags |= optional(in, &tier, TIDEGATE_AMEND_TIER);
  if (tier > UINT8_MAX) fail(in, "a number is too large");
  amendment.tier = (uint32_t)tier;
  amendment.flags |= optional(in, &amendment.deadline_ns, TIDEGATE_AMEND_DEADLINE);
  return tidegate_scheduler_amend(run->scheduler, now, request, &amendment);
}

static tidegate_status_t step(replay *run, uint64_t now, reader *in) {
  uint32_t worker = number32(in);
  uint64_t tokens_each = number(in, UINT64_MAX), count = number(in, UINT64_MAX), e;
  tidegate_step_exception_t *exceptions =
      (tidegate_step_exception_t *)room_for(in, count, sizeof *exceptions);
  tidegate_status_t status;
  for (e = 0; e < count; e++) {
    exceptions[e].request = number(in, UINT64_MAX);
    exceptions[e].attempt = number32(in);
    exceptions[e].output_tokens = number(in, UINT64_MAX);
    vector(in, exceptions[e].in_use);
  }
  status = tidegate_scheduler_step(run->scheduler, now, worker, tokens_each, exceptions, (size_t)count);
  free(exceptions);
  return status;
}

static tidegate_status_t cancel(replay *run, uint64_t now, reader *in) {
  return tidegate_scheduler_cancel(run->scheduler, now, number(in, UINT64_MAX));
}

static tidegate_status_t started(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX), units[TIDEGATE_DIMENSIONS];
  uint32_t attempt = number32(in);
  uint64_t cached = number(in, UINT64_MAX);
  vector(in, units);
  return tidegate_scheduler_started(run->scheduler, now, request, attempt, cached, units);
}

static tidegate_status_t declined(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX);
  uint32_t attempt = number32(in);
  return tidegate_scheduler_declined(run->scheduler, now, request, attempt, number32(in));
}

static tidegate_status_t progress(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX), units[TIDEGATE_DIMENSIONS];
  uint32_t attempt = number32(in);
  uint64_t output = number(in, UINT64_MAX);
  vector(in, units);
  return tidegate_scheduler_progress(run->scheduler, now, request, attempt, output, units);
}

static tidegate_status_t preempted(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX);
  uint32_t attempt = number32(in);
  uint64_t kept = number(in, UINT64_MAX);
  return tidegate_scheduler_preempted(run->scheduler, now, request, attempt, kept, number32(in));
}

static tidegate_status_t released(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX);
  return tidegate_scheduler_released(run->scheduler, now, request, number32(in));
}

static tidegate_status_t failed(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX);
  return tidegate_scheduler_failed(run->scheduler, now, request, number32(in));
}

static tidegate_status_t complete(replay *run, uint64_t now, reader *in) {
  uint64_t request = number(in, UINT64_MAX);
  uint32_t attempt = number32(in);
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  usage.prompt_tokens = number(in, UINT64_MAX);
  usage.cached_tokens = number(in, UINT64_MAX);
  usage.output_tokens = number(in, UINT64_MAX);
  return tidegate_scheduler_complete(run->scheduler, now, request, attempt, &usage);
}

static const struct {
  const char *word;
  tidegate_status_t (*verb)(replay *, uint64_t, reader *);
} VERBS[] = {
    {"submit", submit},           {"started", started},           {"progress", progress},
    {"complete", complete},       {"preempted", preempted},       {"released", released},
    {"declined", declined},       {"failed", failed},             {"cancel", cancel},
    {"tenant_set", tenant_set},   {"worker_add", worker_add},     {"worker_drain", worker_drain},
    {"worker_lost", worker_lost}, {"worker_resize", worker_resize}, {"worker_usage", worker_usage},
    {"device_add", device_add},   {"device_resize", device_resize}, {"device_lost", device_lost},
    {"amend", amend},             {"step", step},                 {"tenant_configure", tenant_configure},
    {"tenant_remove", tenant_remove}, {"lease_granted", lease_granted},
    {"cache_stored", cache_stored}, {"cache_evicted", cache_evicted}, {"prefix_set", prefix_set},
};

/* Fails on what only a bug here or a bad journal can cause; a refusal by the scheduler is part of the run. */
static void check(const replay *run, const reader *in, tidegate_status_t status) {
  char message[256];
  if (status == TIDEGATE_STATUS_OK || status >= TIDEGATE_STATUS_CONFIG_INVALID) return;
  if (tidegate_scheduler_last_error_message(run->scheduler, message, sizeof message, NULL) !=
      TIDEGATE_STATUS_OK)
    fail(in, tidegate_status_str(status));
  fail(in, message);
}

/* A capacity of 1 makes each call exactly one poll of the journal. */
static void polls(replay *run, uint64_t now, reader *in) {
  uint32_t calls = number32(in);
  if (calls == 0) fail(in, "a line of no polls");
  while (calls-- > 0) {
    tidegate_action_t action;
    size_t count;
    check(run, in, tidegate_scheduler_poll(run->scheduler, now, &action, 1, &count));
    if (count == 1) hash_action(run, now, &action);
  }
}

/* The one verb that goes on below its line. */
static void reconfigure(replay *run, uint64_t now, reader *line, reader *in) {
  tidegate_config_t *config = config_below(line, in);
  check(run, line, tidegate_scheduler_reconfigure(run->scheduler, now, config));
  tidegate_config_free(config);
  run->inputs++;
}

static void verb(replay *run, uint64_t now, reader *line) {
  size_t v;
  for (v = 0; v < sizeof VERBS / sizeof *VERBS; v++) {
    if (!take_word(line, VERBS[v].word)) continue;
    check(run, line, VERBS[v].verb(run, now, line));
    run->inputs++;
    return;
  }
  fail(line, "no such verb");
}

static void entry(replay *run, reader *line, reader *in) {
  uint64_t now = number(line, UINT64_MAX);
  if (take_word(line, "poll"))
    polls(run, now, line);
  else if (take_word(line, "reconfigure"))
    reconfigure(run, now, line, in);
  else
    verb(run, now, line);
  at_end(line);
}

/* The run. */

static tidegate_scheduler_t *begin(reader *in) {
  tidegate_config_t *config;
  tidegate_scheduler_t *scheduler;
  reader line = next_line(in);
  uint64_t now;
  if (!take_word(&line, "tidegate-journal") || number(&line, UINT64_MAX) != 1)
    fail(&line, "not a journal of version 1");
  at_end(&line);
  line = next_line(in);
  if (!take_word(&line, "start")) fail(&line, "`start NOW` is missing");
  now = number(&line, UINT64_MAX);
  at_end(&line);
  line = next_line(in);
  if (!take_word(&line, "config")) fail(&line, "`config N` is missing");
  config = config_below(&line, in);
  if (tidegate_scheduler_new(config, now, &scheduler) != TIDEGATE_STATUS_OK)
    fail(&line, "the scheduler cannot be made");
  tidegate_config_free(config);
  return scheduler;
}

static void run_journal(replay *run, reader *in) {
  for (;;) {
    reader line = next_line(in);
    if (!take_word(&line, "end")) {
      entry(run, &line, in);
      continue;
    }
    if (number(&line, UINT64_MAX) != run->inputs) fail(&line, "`end` counts other inputs");
    at_end(&line);
    if (in->at != in->end) fail(in, "something stands behind `end`");
    return;
  }
}

static void print_numbers(const uint64_t *numbers, size_t count) {
  size_t n;
  for (n = 0; n < count; n++) printf(" %" PRIu64, numbers[n]);
}

static void print_wide(const tidegate_wide_number_t numbers[TIDEGATE_DIMENSIONS]) {
  size_t d;
  for (d = 0; d < TIDEGATE_DIMENSIONS; d++) printf(" %016" PRIx64 "%016" PRIx64, numbers[d].high, numbers[d].low);
}

static void print_usage(uint32_t tenant, const tidegate_tenant_usage_t *used) {
  const uint64_t counts[] = {
      used->submitted,     used->started,         used->completed,   used->failed,      used->cancelled,
      used->dropped,       used->waiting,         used->running,     used->prompt_tokens,
      used->cached_tokens, used->output_tokens,   used->held_tokens, used->refunded_tokens,
      used->debt_tokens,   used->preemptions,     used->memory_preemptions,
      used->lost_tokens,
  };
  printf("usage %" PRIu32, tenant);
  print_numbers(counts, sizeof counts / sizeof *counts);
  print_numbers(used->in_use, TIDEGATE_DIMENSIONS);
  print_wide(used->unit_ns);
  print_wide(used->borrowed_unit_ns);
  print_numbers(used->queue_delays, TIDEGATE_QUEUE_DELAY_BUCKETS);
  printf("\n");
}

static void print_usages(const replay *run) {
  uint32_t tenant;
  for (tenant = 0; tenant < run->tenants; tenant++) {
    tidegate_tenant_usage_t used = TIDEGATE_TENANT_USAGE_INIT;
    if (tidegate_scheduler_usage(run->scheduler, tenant, &used) == TIDEGATE_STATUS_OK)
      print_usage(tenant, &used);
  }
}

int main(int argc, char **argv) {
  replay run = {NULL, UINT64_C(0x9E3779B97F4A7C15), 0, 0, 0, 0};
  reader in = {NULL, NULL, NULL, 0};
  size_t size;
  char *text;
  int usage = argc == 3 && strcmp(argv[2], "--usage") == 0;
  if (argc == 4 && strcmp(argv[2], "--corrupt") == 0) run.corrupt = strtoull(argv[3], NULL, 10);
  if (argc != 2 && run.corrupt == 0 && !usage) {
    fprintf(stderr, "usage: replay JOURNAL [--corrupt N | --usage]\n");
    return 2;
  }
  text = read_file(argv[1], &size);
  in.path = argv[1];
  in.at = text;
  in.end = text + size;
  run.scheduler = begin(&in);
  run_journal(&run, &in);
  if (usage) print_usages(&run);
  printf("digest %016" PRIx64 " actions %" PRIu64 " inputs %" PRIu64 "\n", run.digest, run.actions,
         run.inputs);
  tidegate_scheduler_free(run.scheduler);
  free(text);
  return 0;
}
