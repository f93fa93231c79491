// What a run came to: a table for people, and all of it as JSON for programs.
#pragma once

#include <tidegate.hpp>

#include <cstdio>
#include <vector>

#include "host.hpp"
#include "request.hpp"
#include "workload.hpp"

namespace llama_host {

struct Outcome {
  const Workload& workload;
  const Counts& counts;
  std::vector<tidegate::TenantUsage> tenants;  // in the order of the workload's
};

void print_table(const Outcome& outcome);
void write_json(const Outcome& outcome, std::FILE* file);

}  // namespace llama_host
