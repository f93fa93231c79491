// A model and its KV cells: all that this host does with libllama, and the only file pair that names it.
//
// A *slot* is a sequence number of libllama. All slots share one pool of KV cells (`kv_unified`), so more
// requests can run than would fit if each grew to its end; what happens when the cells run out is the
// scheduler's business.
#pragma once

#include <llama.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace llama_host {

using Token = llama_token;

struct EngineOptions {
  std::string model;
  uint32_t slots = 4;
  uint32_t cells = 1024;
  uint32_t batch_tokens = 64;
  uint32_t threads = 1;
  bool flash_attention = true;  // if the model can
};

// Part of a step: `count` tokens of the sequence in `slot`, from position `first` on.
struct Work {
  int slot;
  const Token* tokens;
  size_t first;
  size_t count;
  bool wants_next;  // these are the last tokens known: what follows is to be sampled
};

// Chooses tokens for one request. It keeps its own state, so a request that stops and goes on in another
// slot draws the same tokens as one that never stopped.
class Sampler {
 public:
  // Seed 0 takes the likeliest token; any other draws by probability.
  explicit Sampler(uint32_t seed);
  llama_sampler* get() const { return chain_.get(); }

 private:
  struct Free {
    void operator()(llama_sampler* chain) const { llama_sampler_free(chain); }
  };
  std::unique_ptr<llama_sampler, Free> chain_;
};

class Engine {
 public:
  // Throws std::runtime_error if the model cannot be loaded.
  explicit Engine(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // What libllama made of the options.
  uint32_t slots() const;
  uint32_t cells() const;
  uint32_t batch_tokens() const;

  std::vector<Token> tokenize(const std::string& text) const;
  bool ends(Token token) const;

  // Computes all work in one batch. False if there are not enough free cells: then nothing was computed.
  // Throws std::runtime_error on any other failure.
  bool decode(const std::vector<Work>& step);

  // The token that follows the work of this index in the last step.
  Token sample(const Sampler& sampler, size_t work) const;
  // The logits it was sampled from.
  const float* logits(size_t work) const;
  size_t vocabulary() const;

  // Cells that a slot takes now.
  size_t cells_of(int slot) const;
  // All that is known of a slot, to be given to `restore`, for any slot.
  std::vector<uint8_t> save(int slot) const;
  // False if there are not enough free cells, or the state is not one of this model: the slot is empty then.
  bool restore(int slot, const std::vector<uint8_t>& state);
  // Gives the cells of a slot back.
  void clear(int slot);

  // What `save` needs at most for each token, rounded up.
  uint32_t state_kib_per_token() const;

 private:
  struct Free {
    void operator()(llama_model* model) const { llama_model_free(model); }
    void operator()(llama_context* context) const { llama_free(context); }
  };
  std::unique_ptr<llama_model, Free> model_;
  std::unique_ptr<llama_context, Free> context_;
  llama_batch batch_{};
  std::vector<int32_t> rows_;  // of each work of the last step: where in the batch its last token stands
};

}  // namespace llama_host
