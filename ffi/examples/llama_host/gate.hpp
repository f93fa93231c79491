// What this host adds to tidegate.hpp: the order of its dimensions, its one engine, its tenants by name, and which
// errors it expects. It expects that a submission may be refused; any other call that fails is a bug of this host or a
// wrong config, and value() throws tidegate::Failure with tidegate's own words.
#pragma once

#include <tidegate.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace llama_host {

struct Ask {
  std::string tier;
  std::string tenant;
  size_t prompt_tokens;
  size_t max_output;
  uint64_t tag;
};

class Gate {
 public:
  explicit Gate(const std::string& config_toml);

  // Before the first request.
  void add_engine(tidegate::Instant now, uint64_t slots, uint64_t cells, uint64_t checkpoint_mib);
  void add_tenant(tidegate::Instant now, const std::string& name);
  void limit_tenant(tidegate::Instant now, const std::string& name, const tidegate::Rate& tokens);

  // The request, or in whose words it is refused.
  tidegate::Result<tidegate::RequestId> submit(tidegate::Instant now, const Ask& ask);
  // How many tokens of each prompt the next step computes, in the order given.
  std::vector<size_t> step_plan(size_t batch_tokens, const std::vector<tidegate::PromptLeft>& prompts) const;
  // What the requests of a step have generated, and hold.
  void step(tidegate::Instant now, const std::vector<tidegate::StepException>& progress);
  tidegate::TenantUsage usage(const std::string& tenant) const;

  // For all that needs nothing of this.
  tidegate::Scheduler& scheduler() { return scheduler_; }
  const tidegate::Scheduler& scheduler() const { return scheduler_; }

 private:
  tidegate::Config config_;
  tidegate::Scheduler scheduler_;
  std::map<std::string, tidegate::TenantId> tenants_;
  tidegate::WorkerId engine_;
};

// What a request in a slot uses, in the order of the config's `dimensions = ["slots", "kv_cells"]`.
inline tidegate::Resources slot_with(size_t cells) { return {1, cells}; }

}  // namespace llama_host
