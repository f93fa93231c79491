// The command line.
#pragma once

#include <cstdint>
#include <string>

#include "engine.hpp"

namespace llama_host {

struct Options {
  EngineOptions engine;
  std::string workload;
  std::string report;            // a file for all results as JSON; empty: none
  uint64_t checkpoint_mib = 64;  // memory for the states of requests that were stopped
  bool first_come = false;
  bool talk = false;
  bool check = false;
  bool help = false;
};

extern const char USAGE[];

// Whether a word is digits only, and few enough for std::stoull.
bool is_number(const std::string& word);

// Throws std::invalid_argument that says what is wrong.
Options read_options(int argc, char** argv);

}  // namespace llama_host
