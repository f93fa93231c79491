/* A decoupled Triton backend that lets tidegate say which request runs.
 *
 * Triton hands requests over in TRITONBACKEND_ModelInstanceExecute, which leaves them in tidegate's intake and returns
 * at once. One thread, the engine's, polls, generates a token a step for all that run, and sends each as a response; a
 * request that has to yield keeps its tokens and goes on later. Requests say by parameters who asks ("tenant"), how
 * urgently ("tier", a name of the config) and for how much ("max_tokens"). What stands for the model is next_token.
 *
 *     c++ -std=c++17 -shared -fPIC backend.cpp -I$TRITON_HEADERS $(pkg-config --cflags --libs tidegate) -pthread \
 *         -o libtriton_tidegate_example.so
 *
 * Triton's headers are in no package registry: the tests compile it with declarations/ instead.
 *
 * Where a call cannot fail but for a mistake in this file, value() would end the server and say why. That the scheduler
 * is BUSY is no mistake: a client is told, and a report of the engine is said again after a poll.
 */
#include "triton/core/tritonbackend.h"

#include <tidegate.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <unordered_map>

/// How many calls can wait for a poll; the tests build it with few.
#ifndef INTAKE
#define INTAKE 1024
#endif

namespace {

constexpr const char *CONFIG = "dimensions = ['slots']\n"
                               "[[tiers]]\nname = 'realtime'\nreserve_ppm = 300000\n"
                               "[[tiers]]\nname = 'near-realtime'\n"
                               "[[tiers]]\nname = 'batch'\nreserve_ppm = 50000\n";
constexpr std::uint64_t SLOTS = 4;
constexpr auto STEP = std::chrono::milliseconds(1);
constexpr auto LOOK_AGAIN = std::chrono::milliseconds(50); // Triton tells of a cancelled request only who asks

tidegate::Instant now() { return tidegate::Instant::of(std::chrono::steady_clock::now()); }

/// Triton gives an error to whoever calls it. Where nothing can be done about one, it is let go.
void ignore(TRITONSERVER_Error *error) {
  if (error != nullptr) TRITONSERVER_ErrorDelete(error);
}

/// What a request says of itself. It is copied: the request goes back to Triton at once.
struct Wish {
  std::string tenant = "default";
  std::string tier = "near-realtime";
  std::uint64_t prompt_tokens = 0;
  std::uint64_t max_tokens = 16;
};

Wish read(TRITONBACKEND_Request *request) {
  Wish wish;
  std::uint32_t count = 0;
  ignore(TRITONBACKEND_RequestParameterCount(request, &count));
  for (std::uint32_t index = 0; index < count; ++index) {
    const char *key = nullptr;
    const void *value = nullptr;
    TRITONSERVER_ParameterType type{};
    if (auto *error = TRITONBACKEND_RequestParameter(request, index, &key, &type, &value)) {
      ignore(error);
      continue;
    }
    if (type == TRITONSERVER_PARAMETER_STRING && std::strcmp(key, "tenant") == 0)
      wish.tenant = static_cast<const char *>(value);
    if (type == TRITONSERVER_PARAMETER_STRING && std::strcmp(key, "tier") == 0)
      wish.tier = static_cast<const char *>(value);
    if (type == TRITONSERVER_PARAMETER_INT && std::strcmp(key, "max_tokens") == 0)
      wish.max_tokens = std::max<std::uint64_t>(1, *static_cast<const std::uint64_t *>(value));
  }
  TRITONBACKEND_Input *prompt = nullptr;
  std::uint64_t bytes = 0;
  if (auto *error = TRITONBACKEND_RequestInputByIndex(request, 0, &prompt))
    ignore(error);
  else
    ignore(TRITONBACKEND_InputProperties(prompt, nullptr, nullptr, nullptr, nullptr, &bytes, nullptr));
  wish.prompt_tokens = bytes / sizeof(std::int32_t);
  return wish;
}

/// The answers to one request.
class Answers {
public:
  explicit Answers(TRITONBACKEND_ResponseFactory *factory) : factory_(factory) {}

  bool abandoned() const {
    bool cancelled = false;
    ignore(TRITONBACKEND_ResponseFactoryIsCancelled(factory_.get(), &cancelled));
    return cancelled;
  }
  void send(std::int32_t token) {
    TRITONBACKEND_Response *response = nullptr;
    if (auto *error = TRITONBACKEND_ResponseNewFromFactory(&response, factory_.get())) return ignore(error);
    TRITONBACKEND_Output *output = nullptr;
    const std::int64_t shape = 1;
    auto *error = TRITONBACKEND_ResponseOutput(response, &output, "TOKEN", TRITONSERVER_TYPE_INT32, &shape, 1);
    if (error == nullptr) {
      void *buffer = nullptr;
      auto where = TRITONSERVER_MEMORY_CPU;
      std::int64_t device = 0;
      error = TRITONBACKEND_OutputBuffer(output, &buffer, sizeof token, &where, &device);
      if (error == nullptr) std::memcpy(buffer, &token, sizeof token);
    }
    ignore(TRITONBACKEND_ResponseSend(response, 0, error));
    ignore(error); // it is still ours
  }
  void end() { ignore(TRITONBACKEND_ResponseFactorySendFlags(factory_.get(), TRITONSERVER_RESPONSE_COMPLETE_FINAL)); }
  void end(TRITONSERVER_Error_Code code, const char *words) {
    TRITONBACKEND_Response *response = nullptr;
    if (auto *error = TRITONBACKEND_ResponseNewFromFactory(&response, factory_.get())) return ignore(error);
    auto *error = TRITONSERVER_ErrorNew(code, words);
    ignore(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
    ignore(error);
  }

private:
  struct Delete {
    void operator()(TRITONBACKEND_ResponseFactory *factory) const {
      ignore(TRITONBACKEND_ResponseFactoryDelete(factory));
    }
  };
  std::unique_ptr<TRITONBACKEND_ResponseFactory, Delete> factory_;
};

/// A request between Triton's hands and its last answer.
struct Sequence {
  Answers answers;
  Wish wish;
  tidegate::RequestId request{};
  tidegate::Attempt attempt{};
  bool running = false;
  std::uint64_t tokens = 0;
};

/// The model: the token after those that the sequence has.
std::int32_t next_token(const Sequence &sequence) { return static_cast<std::int32_t>(sequence.tokens); }

/// One instance of the model: a worker with slots, its requests, and the thread that serves them.
class Instance {
public:
  explicit Instance(tidegate::Scheduler scheduler)
      : config_(*scheduler.config()), worker_(*scheduler.worker_add(now(), {tidegate::PoolId{0}, {SLOTS}})),
        shared_(*tidegate::Shared::create(std::move(scheduler), INTAKE)), door_(*shared_.open()),
        engine_(*shared_.open()), thread_([this] { run(); }) {}
  ~Instance() {
    ending_ = true;
    shared_.wake().value();
    thread_.join();
    for (auto &[tag, sequence] : sequences_) sequence.answers.end(TRITONSERVER_ERROR_UNAVAILABLE, "unloaded");
  }
  Instance(const Instance &) = delete;
  Instance &operator=(const Instance &) = delete;

  /// Takes a request over. Called by Triton, by one thread at a time.
  void take(TRITONBACKEND_Request *request) {
    TRITONBACKEND_ResponseFactory *factory = nullptr;
    if (auto *error = TRITONBACKEND_ResponseFactoryNew(&factory, request)) {
      ignore(error); // there is no way to answer
    } else {
      submit({Answers(factory), read(request)});
    }
    ignore(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
  }

private:
  void submit(Sequence sequence) {
    const auto tier = config_.find_tier(sequence.wish.tier);
    if (!tier) return sequence.answers.end(TRITONSERVER_ERROR_INVALID_ARG, tier.error().message.c_str());
    const auto tenant = tenant_of(sequence.wish.tenant);
    if (!tenant) {
      const bool busy = tenant.status() == tidegate::Status::busy;
      const auto code = busy ? TRITONSERVER_ERROR_UNAVAILABLE : TRITONSERVER_ERROR_INVALID_ARG;
      return sequence.answers.end(code, tenant.error().message.c_str());
    }
    // The engine's thread may hear of the request before this one goes on: it has the tag, and waits for the lock.
    const std::scoped_lock lock(sequences_lock_);
    const auto spec = tidegate::RequestSpec(*tenant, *tier)
                          .demand({1})
                          .yielding(tidegate::Yield::checkpoint)
                          .prompt_tokens(sequence.wish.prompt_tokens)
                          .output_tokens(sequence.wish.max_tokens)
                          .tag(++last_tag_);
    const auto ticket = shared_.submit(now(), spec);
    if (!ticket) return sequence.answers.end(TRITONSERVER_ERROR_UNAVAILABLE, ticket.error().message.c_str());
    sequences_.emplace(last_tag_, std::move(sequence));
  }

  /// Triton's thread alone asks. A handle's verb takes the scheduler's lock, so that it is for new tenants.
  tidegate::Result<tidegate::TenantId> tenant_of(const std::string &name) {
    if (const auto known = tenants_.find(name); known != tenants_.end()) return known->second;
    auto tenant = door_.tenant_set(now(), name);
    if (tenant) tenants_.emplace(name, *tenant);
    return tenant;
  }

  /// What the engine's thread does.
  void run() {
    while (!ending_) {
      round();
      if (step() > 0) {
        std::this_thread::sleep_for(STEP); // which a model would take
        continue;
      }
      const auto look = now() + LOOK_AGAIN;
      shared_.wait(now(), std::min(engine_.poll_timeout()->value_or(look), look)).value();
    }
  }

  /// Does what the scheduler wants, until it wants nothing more.
  void round() {
    outcomes_.clear();
    outcomes_.swap(told_);
    shared_.poll_into(now(), outcomes_).value();
    const std::scoped_lock lock(sequences_lock_);
    for (const auto &outcome : outcomes_)
      tidegate::match(
          outcome, [&](const tidegate::Action &action) { act(action); },
          [&](const tidegate::Accepted &accepted) {
            sequences_.at(accepted.tag).request = accepted.request;
            tags_.emplace(accepted.request, accepted.tag);
          },
          [&](const tidegate::Refused &refused) {
            if (refused.tag != 0) end(refused.tag, TRITONSERVER_ERROR_UNAVAILABLE, words(refused.status));
          },
          [](const auto &) {}); // nothing is cancelled by its ticket
  }

  /// What was told while a report was said again may be of a request that has ended since.
  void act(const tidegate::Action &action) {
    tidegate::match(
        action,
        [&](const tidegate::Start &start) {
          auto *sequence = find(start.request);
          if (sequence == nullptr) return;
          sequence->attempt = start.attempt;
          sequence->running = true;
          report([&] { return engine_.started(now(), start.request, start.attempt, 0, {1}); }).value();
        },
        [&](const tidegate::Preempt &preempt) {
          auto *sequence = find(preempt.victim);
          if (sequence == nullptr) return;
          sequence->running = false;
          const auto kept = sequence->wish.prompt_tokens + sequence->tokens;
          report([&] { return engine_.preempted(now(), preempt.victim, preempt.attempt, kept); }).value();
        },
        [&](const tidegate::Abort &abort) {
          if (find(abort.request) == nullptr) return;
          end(tags_.at(abort.request), TRITONSERVER_ERROR_UNAVAILABLE, words(abort.reason));
          report([&] { return engine_.failed(now(), abort.request, abort.attempt); }).value();
        },
        [&](const tidegate::Drop &drop) {
          if (find(drop.request) == nullptr) return;
          end(tags_.at(drop.request), TRITONSERVER_ERROR_UNAVAILABLE, words(drop.reason));
        },
        [](const auto &) {}); // a PREEMPT is answered at once, so that none is spared or stuck; no limit is leased
  }

  /// One token for all that run; how many those were.
  std::size_t step() {
    const std::scoped_lock lock(sequences_lock_);
    std::size_t ran = 0;
    for (auto at = sequences_.begin(); at != sequences_.end();) {
      const auto tag = at->first;
      auto &sequence = (at++)->second; // those that end go
      if (sequence.answers.abandoned() && sequence.request != tidegate::RequestId{}) {
        // Refused if it was dropped, which may be told only in the next round.
        static_cast<void>(report([&] { return engine_.cancel(now(), sequence.request); }));
        end(tag, TRITONSERVER_ERROR_CANCELLED, "cancelled");
      } else if (sequence.running) {
        ++ran;
        sequence.answers.send(next_token(sequence));
        if (++sequence.tokens == sequence.wish.max_tokens) complete(sequence);
      }
    }
    if (ran > 0) report([&] { return engine_.step(now(), worker_, 1); }).value();
    return ran;
  }

  void complete(Sequence &sequence) {
    const auto request = sequence.request;
    const tidegate::Usage usage{sequence.wish.prompt_tokens, 0, sequence.tokens};
    report([&] { return engine_.complete(now(), request, sequence.attempt, usage); }).value();
    sequence.answers.end();
    forget(tags_.at(request));
  }

  /// Says something to the scheduler until it is heard: a poll makes room for what it has to tell, for the next round.
  template <class Say> tidegate::Result<void> report(Say say) {
    auto heard = say();
    while (heard.status() == tidegate::Status::busy) {
      shared_.poll_into(now(), told_).value();
      heard = say();
    }
    return heard;
  }

  /// The sequence of a request, unless it has ended.
  Sequence *find(tidegate::RequestId request) {
    const auto tag = tags_.find(request);
    return tag == tags_.end() ? nullptr : &sequences_.at(tag->second);
  }
  void end(std::uint64_t tag, TRITONSERVER_Error_Code code, const char *why) {
    sequences_.at(tag).answers.end(code, why);
    forget(tag);
  }
  void forget(std::uint64_t tag) {
    tags_.erase(sequences_.at(tag).request);
    sequences_.erase(tag);
  }

  tidegate::Config config_;
  tidegate::WorkerId worker_;
  tidegate::Shared shared_;
  tidegate::Scheduler door_;   // for Triton's thread
  tidegate::Scheduler engine_; // for ours
  std::mutex sequences_lock_;
  std::unordered_map<std::uint64_t, Sequence> sequences_; // by tag
  std::unordered_map<tidegate::RequestId, std::uint64_t> tags_;
  std::uint64_t last_tag_ = 0;
  std::unordered_map<std::string, tidegate::TenantId> tenants_;
  std::vector<tidegate::Outcome> outcomes_; // of this round
  std::vector<tidegate::Outcome> told_;     // for the next
  std::atomic<bool> ending_ = false;
  std::thread thread_; // the last: it uses all the others
};

TRITONSERVER_Error *refuse(const char *why) { return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNSUPPORTED, why); }

} // namespace

extern "C" {

TRITONSERVER_Error *TRITONBACKEND_Initialize(TRITONBACKEND_Backend *) {
  std::uint32_t major = 0, minor = 0;
  if (auto *error = TRITONBACKEND_ApiVersion(&major, &minor)) return error;
  if (major != TRITONBACKEND_API_VERSION_MAJOR || minor < TRITONBACKEND_API_VERSION_MINOR)
    return refuse("this Triton has another backend API");
  return tidegate::abi_matches() ? nullptr : refuse("this libtidegate has another ABI");
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance *instance) {
  const auto config = tidegate::Config::from_toml(CONFIG);
  if (!config) return refuse(config.error().message.c_str());
  auto scheduler = tidegate::Scheduler::create(*config, now());
  if (!scheduler) return refuse(scheduler.error().message.c_str());
  return TRITONBACKEND_ModelInstanceSetState(instance, new Instance(std::move(*scheduler)));
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance *instance) {
  void *state = nullptr;
  if (auto *error = TRITONBACKEND_ModelInstanceState(instance, &state)) return error;
  delete static_cast<Instance *>(state);
  return nullptr;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *instance,
                                                       TRITONBACKEND_Request **requests,
                                                       const std::uint32_t request_count) {
  void *state = nullptr;
  if (auto *error = TRITONBACKEND_ModelInstanceState(instance, &state)) return error;
  for (std::uint32_t request = 0; request < request_count; ++request)
    static_cast<Instance *>(state)->take(requests[request]);
  return nullptr;
}
}
