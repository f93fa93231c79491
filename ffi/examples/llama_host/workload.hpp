// Reads from a text file who asks for what, and when. One line each:
//
//   tenant NAME [TOKENS_A_SECOND BURST]
//   request ARRIVES TIER TENANT MAX_OUTPUT SEED PROMPT...
//
// ARRIVES is a step of the engine; SEED 0 takes the likeliest tokens; the prompt is the rest of the line.
// Numbers go up to 1000000000, seeds up to 4294967295. Empty lines, and those that begin with #, say nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "request.hpp"

namespace llama_host {

struct Tenant {
  std::string name;
  bool limited = false;
  uint64_t tokens_per_second = 0;
  uint64_t burst = 0;
};

struct Workload {
  std::vector<Tenant> tenants;
  std::vector<Request> requests;  // in order of arrival
};

// Throws std::runtime_error that names the file and the line at fault.
Workload read_workload(const std::string& path);

}  // namespace llama_host
