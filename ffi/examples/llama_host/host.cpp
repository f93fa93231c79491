// See host.hpp.
#include "host.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace llama_host {

namespace {

// FNV-1a over the bits of the numbers.
uint64_t digest(uint64_t before, const float* numbers, size_t count) {
  uint64_t hash = before == 0 ? UINT64_C(14695981039346656037) : before;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    std::memcpy(&bits, &numbers[i], sizeof bits);
    hash = (hash ^ bits) * UINT64_C(1099511628211);
  }
  return hash;
}

}  // namespace

Host::Host(Engine& engine, Gate& gate, std::vector<Request>& requests, HostOptions options)
    : engine_(engine), gate_(gate), requests_(requests), options_(std::move(options)), in_slot_(engine.slots()) {}

void Host::run() {
  while (!all_ended()) {
    submit_arrivals();
    do_what_is_asked();
    if (somebody_runs()) {
      compute();
      counts_.steps++;
    } else if (!all_ended()) {
      skip_idle_steps();
    }
    if (options_.check) gate_.scheduler().check_invariants().value();
  }
}

bool Host::somebody_runs() const {
  return std::any_of(in_slot_.begin(), in_slot_.end(), [](const Request* request) { return request != nullptr; });
}

bool Host::all_ended() const { return open_ == 0 && arrived_ == requests_.size(); }

// Requests come in.

void Host::submit_arrivals() {
  while (arrived_ < requests_.size() && requests_[arrived_].arrives <= counts_.steps) submit(requests_[arrived_++]);
}

void Host::submit(Request& request) {
  request.tokens = engine_.tokenize(request.text);
  request.prompt_tokens = request.tokens.size();
  const std::string& tier = options_.one_tier.empty() ? request.tier : options_.one_tier;
  const auto submitted =
      gate_.submit(now(), Ask{tier, request.tenant, request.prompt_tokens, request.max_output, request.number});
  if (!submitted) {
    request.phase = Phase::refused;
    request.ended = counts_.steps;
    request.answer = submitted.error().message;
    say(request, "refused: " + request.answer);
    return;
  }
  request.id = *submitted;
  request.phase = Phase::waiting;
  by_id_[request.id] = &request;
  open_++;
}

void Host::skip_idle_steps() {
  std::optional<tidegate::Instant> next = gate_.scheduler().poll_timeout().value();
  if (arrived_ < requests_.size()) {
    const tidegate::Instant arrival = at(requests_[arrived_].arrives);
    next = next ? std::min(*next, arrival) : arrival;
  }
  if (!next) {
    const auto waits = [](const Request& request) { return request.phase == Phase::waiting; };
    const auto first = std::find_if(requests_.begin(), requests_.end(), waits);
    throw std::logic_error("request " + std::to_string(first->number) + " would wait for ever: " +
                           tidegate::words(gate_.scheduler().explain(first->id).value().gate));
  }
  counts_.steps = std::max(counts_.steps + 1, (next->ns + STEP.count() - 1) / STEP.count());
}

// What tidegate asks for, and the answers. What is answered may lead to more, so it is asked until it wants nothing.

void Host::do_what_is_asked() {
  std::vector<tidegate::Action> actions;
  do {
    actions.clear();
    gate_.scheduler().poll_into(now(), actions).value();
    for (const tidegate::Action& action : actions) carry_out(action);
  } while (!actions.empty());
}

void Host::carry_out(const tidegate::Action& action) {
  tidegate::match(
      action, [this](const tidegate::Start& wish) { start(find(wish.request), wish); },
      [this](const tidegate::Preempt& wish) { preempt(find(wish.victim), wish); },
      [this](const tidegate::Abort& wish) { abort(find(wish.request), wish); },
      [this](const tidegate::Drop& wish) { drop(find(wish.request), wish); },
      // The others are for hosts that take time to stop a request, or that lease quota.
      [](const auto&) {});
}

void Host::start(Request& request, const tidegate::Start& action) {
  if (request.computed != action.resume_tokens) throw std::logic_error("tidegate resumes what was not saved");
  const bool ran_before = request.started != NOT_YET;
  request.phase = Phase::running;
  request.attempt = action.attempt;
  request.slot = free_slot();
  request.reserved = request.tokens.size();
  in_slot_[static_cast<size_t>(request.slot)] = &request;
  if (!ran_before) request.started = counts_.steps;
  // The saved state is kept: tidegate counts it until the request stops again or ends.
  if (request.computed > 0 && !engine_.restore(request.slot, request.saved)) request.computed = 0;
  if (request.computed > 0) {
    request.restored++;
    counts_.restored++;
    if (request.slot != request.saved_in) counts_.moved++;
  } else if (ran_before) {
    request.refilled++;
    counts_.refilled++;
  }
  say(request, "starts in slot " + std::to_string(request.slot) + " with " + std::to_string(request.computed) + " of " +
                   std::to_string(request.tokens.size()) + " tokens computed (" + tidegate::words(action.reason) +
                   ")");
  gate_.scheduler().started(now(), action.request, action.attempt, 0, slot_with(request.reserved)).value();
}

void Host::preempt(Request& request, const tidegate::Preempt& action) {
  forget_saved(request);
  if (request.computed > 0) action.mode == tidegate::Yield::checkpoint ? save(request) : drop_state(request);
  leave_slot(request);
  request.phase = Phase::waiting;
  request.preemptions++;
  (action.reason == tidegate::Reason::out_of_memory ? counts_.for_memory : counts_.reclaims)++;
  say(request,
      "stops and keeps " + std::to_string(request.computed) + " tokens (" + tidegate::words(action.reason) + ")");
  gate_.scheduler().preempted(now(), action.victim, action.attempt, request.computed).value();
}

void Host::abort(Request& request, const tidegate::Abort& action) {
  leave_slot(request);
  request.answer = tidegate::words(action.reason);
  say(request, "is given up (" + request.answer + ")");
  gate_.scheduler().failed(now(), action.request, action.attempt).value();
  end(request, Phase::failed);
}

void Host::drop(Request& request, const tidegate::Drop& action) {
  request.answer = tidegate::words(action.reason);
  say(request, "is dropped (" + request.answer + ")");
  end(request, Phase::failed);
}

// One step of the engine.

void Host::compute() {
  for (std::vector<Work> step = plan(); !step.empty(); step = plan()) {
    if (engine_.decode(step)) return take_tokens(step);
    counts_.no_cells++;
    make_room(step);
  }
}

// One token for each that generates, and of the prompts what tidegate's step plan gives them.
std::vector<Work> Host::plan() const {
  std::vector<tidegate::PromptLeft> prompts;
  std::vector<const Request*> owners;
  std::vector<Work> step;
  const auto add = [&step](const Request& request, size_t count) {
    if (count > 0)
      step.push_back(Work{request.slot, request.tokens.data(), request.computed, count, count == request.left()});
  };
  for (const Request* request : in_slot_) {
    if (request == nullptr) continue;
    if (request->left() == 1) {
      add(*request, 1);
    } else {
      prompts.emplace_back(request->id, request->left());
      owners.push_back(request);
    }
  }
  const std::vector<size_t> shares = gate_.step_plan(engine_.batch_tokens(), prompts);
  for (size_t i = 0; i < owners.size(); i++) add(*owners[i], shares[i]);
  return step;
}

// There are not enough cells for the step: tells tidegate what each request needs for it, and stops whom it names.
// Nobody fails for it but a request that is too large for the engine alone.
void Host::make_room(const std::vector<Work>& step) {
  const size_t open_before = open_;
  const unsigned stopped_before = counts_.for_memory;
  std::vector<tidegate::StepException> needs;
  for (const Work& work : step) needs.push_back(progress_of(*in_slot_[static_cast<size_t>(work.slot)], work.count));
  gate_.step(now(), needs);
  do_what_is_asked();
  if (counts_.for_memory == stopped_before && open_ == open_before)
    throw std::logic_error("llama_decode has no cells, and tidegate stopped nobody");
}

void Host::take_tokens(const std::vector<Work>& step) {
  std::vector<tidegate::StepException> progress;
  for (size_t i = 0; i < step.size(); i++) {
    Request& request = *in_slot_[static_cast<size_t>(step[i].slot)];
    request.computed += step[i].count;
    if (!step[i].wants_next) continue;
    take_token(request, engine_.sample(request.sampler, i), engine_.logits(i));
    if (request.phase == Phase::running) progress.push_back(progress_of(request, 0));
  }
  gate_.step(now(), progress);
}

void Host::take_token(Request& request, Token token, const float* logits) {
  request.logits_digest = digest(request.logits_digest, logits, engine_.vocabulary());
  request.tokens.push_back(token);
  if (request.first_token == NOT_YET) request.first_token = counts_.steps;
  if (!engine_.ends(token) && request.output_tokens() < request.max_output) return;
  leave_slot(request);
  say(request, "is complete with " + std::to_string(request.output_tokens()) + " tokens");
  gate_.scheduler()
      .complete(now(), request.id, request.attempt, {request.prompt_tokens, 0, request.output_tokens()})
      .value();
  end(request, Phase::completed);
}

// Slots, cells, and saved states.

void Host::end(Request& request, Phase phase) {
  forget_saved(request);
  request.phase = phase;
  request.ended = counts_.steps;
  by_id_.erase(request.id);
  open_--;
}

int Host::free_slot() const {
  const auto slot = std::find(in_slot_.begin(), in_slot_.end(), nullptr);
  if (slot == in_slot_.end()) throw std::logic_error("tidegate starts a request, and no slot is free");
  return static_cast<int>(slot - in_slot_.begin());
}

void Host::leave_slot(Request& request) {
  engine_.clear(request.slot);
  in_slot_[static_cast<size_t>(request.slot)] = nullptr;
  request.slot = NO_SLOT;
}

// What it has generated, and the cells that it takes once `more` tokens are computed: as long as its prompt is being
// computed, those for all of the prompt.
tidegate::StepException Host::progress_of(const Request& request, size_t more) const {
  const size_t cells = std::max(request.reserved, engine_.cells_of(request.slot) + more);
  return {request.id, request.attempt, request.output_tokens(), slot_with(cells)};
}

void Host::save(Request& request) {
  request.saved = engine_.save(request.slot);
  request.saved_in = request.slot;
  saved_bytes_ += request.saved.size();
  counts_.saved_bytes_peak = std::max(counts_.saved_bytes_peak, saved_bytes_);
  counts_.saved++;
}

// It is computed again from its tokens, in chunks like a prompt.
void Host::drop_state(Request& request) {
  request.computed = 0;
  counts_.dropped++;
}

void Host::forget_saved(Request& request) {
  saved_bytes_ -= request.saved.size();
  request.saved = {};
}

void Host::say(const Request& request, const std::string& what) const {
  if (options_.talk)
    std::printf("step %5llu  %-13s #%-3zu %s\n", static_cast<unsigned long long>(counts_.steps), request.tier.c_str(),
                request.number, what.c_str());
}

}  // namespace llama_host
