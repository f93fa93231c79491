// All that this host says to tidegate and hears of it: the only file pair that includes tidegate.h.
//
// Names and numbers of this host go in, tidegate's records stay inside. A call that fails is a bug of the host
// or a wrong config, and throws std::runtime_error with tidegate's own words; only a submission may be refused.
#pragma once

#include <tidegate.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llama_host {

// Nanoseconds of a clock that never goes back; a server reads its monotonic clock.
using Nanoseconds = uint64_t;
constexpr Nanoseconds NEVER = TIDEGATE_NEVER;

// Which start of which request: actions name it, answers repeat it.
struct Attempt {
  uint64_t request;
  uint32_t attempt;
};

struct Action {
  enum class Kind { start, preempt, abort, drop, other };
  Kind kind;
  Attempt of;
  size_t resume_tokens;  // start: how many tokens the state has that was saved when it stopped
  bool keep_state;       // preempt: there is memory to save its state
  bool for_memory;       // preempt: cells ran out; else for a request that waits
  std::string reason;
};

struct Ask {
  std::string tier;
  std::string tenant;
  size_t prompt_tokens;
  size_t max_output;
  uint64_t tag;
};

struct Submitted {
  uint64_t request;  // 0 if it was refused
  std::string refusal;
};

// What the engine has.
struct Capacity {
  uint64_t slots;
  uint64_t cells;
};

struct Progress {
  Attempt of;
  size_t output_tokens;
  size_t cells;
};

struct Prompt {
  uint64_t request;
  size_t tokens;
};

struct TenantReport {
  uint64_t completed, prompt_tokens, output_tokens, held_tokens, refunded_tokens, debt_tokens, preemptions,
      memory_preemptions, lost_tokens;
};

class Gate {
 public:
  explicit Gate(const std::string& config_toml);

  // Before the first request.
  void add_engine(Nanoseconds now, Capacity capacity, uint64_t checkpoint_mib);
  void add_tenant(Nanoseconds now, const std::string& name);
  void limit_tenant(Nanoseconds now, const std::string& name, uint64_t tokens_per_second, uint64_t burst);

  Submitted submit(Nanoseconds now, const Ask& ask);
  // What is to be done now, some of it at a time; empty if nothing is.
  std::vector<Action> poll(Nanoseconds now);
  // When to poll again if nothing happens before.
  Nanoseconds poll_timeout() const;
  // How many tokens of each prompt the next step computes, in the order given.
  std::vector<size_t> step_plan(size_t batch_tokens, const std::vector<Prompt>& prompts) const;

  // Answers.
  void started(Nanoseconds now, Attempt of, size_t cells);
  void stepped(Nanoseconds now, const std::vector<Progress>& progress);
  void preempted(Nanoseconds now, Attempt of, size_t tokens_kept);
  void completed(Nanoseconds now, Attempt of, size_t prompt_tokens, size_t output_tokens);
  void failed(Nanoseconds now, Attempt of);

  // Questions.
  std::string why_it_waits(uint64_t request) const;
  TenantReport report(const std::string& tenant) const;
  void check_invariants() const;

 private:
  struct Free {
    void operator()(tidegate_config_t* config) const { tidegate_config_free(config); }
    void operator()(tidegate_scheduler_t* scheduler) const { tidegate_scheduler_free(scheduler); }
  };
  void must(tidegate_status_t status, const char* call) const;
  std::string last_error() const;

  std::unique_ptr<tidegate_config_t, Free> config_;
  std::unique_ptr<tidegate_scheduler_t, Free> scheduler_;
  std::map<std::string, uint32_t> tenants_;
  uint32_t engine_ = 0;
};

}  // namespace llama_host
