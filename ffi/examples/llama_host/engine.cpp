// See engine.hpp.
#include "engine.hpp"

#include <cstdio>
#include <stdexcept>

namespace llama_host {

namespace {

const uint32_t GREEDY = 0;

void say_errors_only(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

llama_context_params context_params(const EngineOptions& options) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = options.cells;
  params.n_batch = options.batch_tokens;
  params.n_ubatch = options.batch_tokens;
  params.n_seq_max = options.slots;
  params.n_threads = static_cast<int32_t>(options.threads);
  params.n_threads_batch = params.n_threads;
  params.kv_unified = true;
  if (!options.flash_attention) params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  return params;
}

// Appends a token to a batch that has room for it.
void add(llama_batch& batch, Token token, size_t position, int slot) {
  const int32_t row = batch.n_tokens++;
  batch.token[row] = token;
  batch.pos[row] = static_cast<llama_pos>(position);
  batch.n_seq_id[row] = 1;
  batch.seq_id[row][0] = slot;
  batch.logits[row] = 0;
}

}  // namespace

Sampler::Sampler(uint32_t seed) : chain_(llama_sampler_chain_init(llama_sampler_chain_default_params())) {
  llama_sampler_chain_add(
      chain_.get(), seed == GREEDY ? llama_sampler_init_greedy() : llama_sampler_init_dist(seed));
}

Engine::Engine(const EngineOptions& options) {
  llama_log_set(say_errors_only, nullptr);
  llama_backend_init();
  model_.reset(llama_model_load_from_file(options.model.c_str(), llama_model_default_params()));
  if (!model_) throw std::runtime_error("cannot load the model " + options.model);
  context_.reset(llama_init_from_model(model_.get(), context_params(options)));
  if (!context_) throw std::runtime_error("cannot make a context of " + std::to_string(options.cells) + " cells");
  batch_ = llama_batch_init(static_cast<int32_t>(batch_tokens()), 0, 1);
}

Engine::~Engine() { llama_batch_free(batch_); }

uint32_t Engine::slots() const { return llama_n_seq_max(context_.get()); }
uint32_t Engine::cells() const { return llama_n_ctx(context_.get()); }
uint32_t Engine::batch_tokens() const { return llama_n_batch(context_.get()); }

std::vector<Token> Engine::tokenize(const std::string& text) const {
  const llama_vocab* vocab = llama_model_get_vocab(model_.get());
  const auto length = static_cast<int32_t>(text.size());
  const int32_t count = -llama_tokenize(vocab, text.data(), length, nullptr, 0, true, false);
  if (count <= 0) throw std::runtime_error("the model's tokenizer has no tokens for '" + text + "'");
  std::vector<Token> tokens(static_cast<size_t>(count));
  llama_tokenize(vocab, text.data(), length, tokens.data(), count, true, false);
  return tokens;
}

bool Engine::ends(Token token) const { return llama_vocab_is_eog(llama_model_get_vocab(model_.get()), token); }

bool Engine::decode(const std::vector<Work>& step) {
  batch_.n_tokens = 0;
  rows_.clear();
  for (const Work& work : step) {
    for (size_t i = 0; i < work.count; i++) add(batch_, work.tokens[work.first + i], work.first + i, work.slot);
    rows_.push_back(batch_.n_tokens - 1);
    batch_.logits[rows_.back()] = work.wants_next;
  }
  const int32_t status = llama_decode(context_.get(), batch_);
  if (status == 0 || status == 1) return status == 0;  // 1: no cells, and nothing has changed
  throw std::runtime_error("llama_decode failed with status " + std::to_string(status));
}

Token Engine::sample(const Sampler& sampler, size_t work) const {
  return llama_sampler_sample(sampler.get(), context_.get(), rows_.at(work));
}

const float* Engine::logits(size_t work) const { return llama_get_logits_ith(context_.get(), rows_.at(work)); }

size_t Engine::vocabulary() const {
  return static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model_.get())));
}

size_t Engine::cells_of(int slot) const {
  return static_cast<size_t>(llama_memory_seq_pos_max(llama_get_memory(context_.get()), slot) + 1);
}

std::vector<uint8_t> Engine::save(int slot) const {
  std::vector<uint8_t> state(llama_state_seq_get_size(context_.get(), slot));
  if (llama_state_seq_get_data(context_.get(), state.data(), state.size(), slot) != state.size())
    throw std::runtime_error("cannot save the state of slot " + std::to_string(slot));
  return state;
}

bool Engine::restore(int slot, const std::vector<uint8_t>& state) {
  if (llama_state_seq_set_data(context_.get(), state.data(), state.size(), slot) != 0) return true;
  clear(slot);
  return false;
}

void Engine::clear(int slot) { llama_memory_seq_rm(llama_get_memory(context_.get()), slot, -1, -1); }

uint32_t Engine::state_kib_per_token() const {
  const auto layers = static_cast<size_t>(llama_model_n_layer(model_.get()));
  const auto heads = static_cast<size_t>(llama_model_n_head(model_.get()));
  const auto kv_heads = static_cast<size_t>(llama_model_n_head_kv(model_.get()));
  const auto width = static_cast<size_t>(llama_model_n_embd(model_.get())) / heads;
  const size_t key_and_value = 2 * kv_heads * width * sizeof(uint16_t);
  const size_t place = 16;  // its position and its sequence
  return static_cast<uint32_t>((layers * key_and_value + place + 1023) / 1024);
}

}  // namespace llama_host
