// A request as the host knows it: what was asked, how far it is, and what came of it.
#pragma once

#include <tidegate.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine.hpp"

namespace llama_host {

enum class Phase { expected, waiting, running, completed, failed, refused };

constexpr int NO_SLOT = -1;
constexpr uint64_t NOT_YET = UINT64_MAX;

struct Request {
  // What was asked.
  size_t number = 0;
  uint64_t arrives = 0;  // in steps
  std::string tier;
  std::string tenant;
  size_t max_output = 0;
  uint32_t seed = 0;
  std::string text;

  // How far it is. The KV cells of the first `computed` tokens are in `slot`, or in `saved`, or nowhere.
  Phase phase = Phase::expected;
  std::vector<Token> tokens;  // the prompt, then what was generated
  size_t prompt_tokens = 0;
  size_t computed = 0;
  int slot = NO_SLOT;
  size_t reserved = 0;  // cells for the tokens it had when it started
  std::vector<uint8_t> saved;
  int saved_in = NO_SLOT;
  Sampler sampler{0};

  // What the scheduler calls it, and which start this is.
  tidegate::RequestId id;
  tidegate::Attempt attempt;

  // What came of it, in steps.
  uint64_t started = NOT_YET;
  uint64_t first_token = NOT_YET;
  uint64_t ended = NOT_YET;
  unsigned preemptions = 0;
  unsigned restored = 0;
  unsigned refilled = 0;
  uint64_t logits_digest = 0;
  std::string answer;  // why it was refused or failed

  size_t output_tokens() const { return tokens.size() - prompt_tokens; }
  size_t left() const { return tokens.size() - computed; }
};

}  // namespace llama_host
