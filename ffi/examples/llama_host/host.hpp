// The serving loop: asks tidegate what to do, has the engine do it, and answers.
//
// One step: requests that arrived are submitted; tidegate's actions are carried out at once; the batch is
// made by tidegate's step plan and computed; each request gets its next token, and tidegate is told. All on
// one thread. A step counts as 10 ms, so that a run is the same on every machine; a server would read its
// monotonic clock instead.
#pragma once

#include <tidegate.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine.hpp"
#include "gate.hpp"
#include "request.hpp"

namespace llama_host {

constexpr tidegate::Duration STEP = std::chrono::milliseconds(10);

// What happened in a run, beyond what its requests say.
struct Counts {
  uint64_t steps = 0;
  unsigned reclaims = 0;          // preemptions for a request that waited
  unsigned for_memory = 0;        // preemptions because cells ran out
  unsigned no_cells = 0;          // times that llama_decode had no cells
  unsigned saved = 0;             // states saved
  unsigned dropped = 0;           // states dropped: there was no memory to save them
  unsigned restored = 0;          // states restored
  unsigned moved = 0;             // of them in another slot than where they were saved
  unsigned refilled = 0;          // requests that were computed again from their tokens
  size_t saved_bytes_peak = 0;    // the most memory that saved states took
};

struct HostOptions {
  std::string one_tier;  // where every request goes, whatever tier it asks for; empty: where it asks
  bool talk = false;     // print every decision
  bool check = false;    // check all of tidegate's invariants after each step
};

class Host {
 public:
  Host(Engine& engine, Gate& gate, std::vector<Request>& requests, HostOptions options);

  // Serves until every request has ended. Throws std::logic_error if one never would.
  void run();

  const Counts& counts() const { return counts_; }

 private:
  tidegate::Instant now() const { return at(counts_.steps); }
  static tidegate::Instant at(uint64_t step) { return {step * STEP.count()}; }
  bool somebody_runs() const;
  bool all_ended() const;
  void submit_arrivals();
  void submit(Request& request);
  void skip_idle_steps();

  void do_what_is_asked();
  void carry_out(const tidegate::Action& action);
  void start(Request& request, const tidegate::Start& action);
  void preempt(Request& request, const tidegate::Preempt& action);
  void abort(Request& request, const tidegate::Abort& action);
  void drop(Request& request, const tidegate::Drop& action);

  void compute();
  std::vector<Work> plan() const;
  void make_room(const std::vector<Work>& step);
  void take_tokens(const std::vector<Work>& step);
  void take_token(Request& request, Token token, const float* logits);
  void end(Request& request, Phase phase);

  Request& find(tidegate::RequestId id) { return *by_id_.at(id); }
  int free_slot() const;
  void leave_slot(Request& request);
  tidegate::StepException progress_of(const Request& request, size_t more) const;
  void save(Request& request);
  void drop_state(Request& request);
  void forget_saved(Request& request);
  void say(const Request& request, const std::string& what) const;

  Engine& engine_;
  Gate& gate_;
  std::vector<Request>& requests_;
  HostOptions options_;
  Counts counts_;
  size_t arrived_ = 0;
  size_t open_ = 0;
  size_t saved_bytes_ = 0;
  std::vector<Request*> in_slot_;
  std::unordered_map<tidegate::RequestId, Request*> by_id_;
};

}  // namespace llama_host
