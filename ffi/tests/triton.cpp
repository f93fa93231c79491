/* A stand-in for Triton that gives requests to the example backend, and checks what is answered to each. */
#include "triton/core/tritonbackend.h"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define EXPECT(condition) expect((condition) ? true : false, #condition, __LINE__)

static void expect(bool holds, const char *condition, int line) {
  if (holds) return;
  std::fprintf(stderr, "triton.cpp:%d: does not hold: %s\n", line, condition);
  std::exit(1);
}

static std::mutex lock;
static std::condition_variable changed;
static int finished = 0;

struct TRITONSERVER_Error {
  TRITONSERVER_Error_Code code;
  std::string message;
};
struct TRITONBACKEND_Backend {};
struct TRITONBACKEND_ModelInstance {
  void *state = nullptr;
};
struct TRITONBACKEND_Input {
  std::uint64_t bytes = 64;
};
/// The client's side of a request; it outlives what Triton gives to the backend.
struct Client {
  std::vector<std::pair<std::string, std::string>> texts;
  std::int64_t max_tokens = 0;
  bool cancelled = false, final = false, released = false;
  std::vector<std::int32_t> tokens;
  std::string failed;
  TRITONSERVER_Error_Code code = TRITONSERVER_ERROR_UNKNOWN;
  int place = 0;
};
struct TRITONBACKEND_Request {
  Client *client;
  TRITONBACKEND_Input input;
};
struct TRITONBACKEND_ResponseFactory {
  Client *client;
};
struct TRITONBACKEND_Output {
  std::int32_t token = -1;
};
struct TRITONBACKEND_Response {
  Client *client;
  TRITONBACKEND_Output output;
};

static void finish(Client &client) {
  EXPECT(!client.final);
  client.final = true;
  client.place = ++finished;
  changed.notify_all();
}

TRITONSERVER_Error *TRITONSERVER_ErrorNew(TRITONSERVER_Error_Code code, const char *message) {
  return new TRITONSERVER_Error{code, message};
}
void TRITONSERVER_ErrorDelete(TRITONSERVER_Error *error) { delete error; }
TRITONSERVER_Error *TRITONBACKEND_ApiVersion(uint32_t *major, uint32_t *minor) {
  *major = TRITONBACKEND_API_VERSION_MAJOR;
  *minor = TRITONBACKEND_API_VERSION_MINOR + 1;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceState(TRITONBACKEND_ModelInstance *instance, void **state) {
  *state = instance->state;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceSetState(TRITONBACKEND_ModelInstance *instance, void *state) {
  instance->state = state;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_RequestParameterCount(TRITONBACKEND_Request *request, uint32_t *count) {
  *count = static_cast<std::uint32_t>(request->client->texts.size() + 1);
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_RequestParameter(TRITONBACKEND_Request *request, uint32_t index, const char **key,
                                                   TRITONSERVER_ParameterType *type, const void **value) {
  const auto &client = *request->client;
  if (index == client.texts.size()) {
    *key = "max_tokens";
    *type = TRITONSERVER_PARAMETER_INT;
    *value = &client.max_tokens;
  } else {
    *key = client.texts[index].first.c_str();
    *type = TRITONSERVER_PARAMETER_STRING;
    *value = client.texts[index].second.c_str();
  }
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_RequestInputByIndex(TRITONBACKEND_Request *request, uint32_t index,
                                                      TRITONBACKEND_Input **input) {
  if (index != 0) return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INVALID_ARG, "one input");
  *input = &request->input;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_InputProperties(TRITONBACKEND_Input *input, const char **, TRITONSERVER_DataType *,
                                                  const int64_t **, uint32_t *, uint64_t *byte_size, uint32_t *) {
  *byte_size = input->bytes;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_RequestRelease(TRITONBACKEND_Request *request, uint32_t) {
  request->client->released = true;
  delete request;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseFactoryNew(TRITONBACKEND_ResponseFactory **factory,
                                                     TRITONBACKEND_Request *request) {
  *factory = new TRITONBACKEND_ResponseFactory{request->client};
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseFactoryDelete(TRITONBACKEND_ResponseFactory *factory) {
  delete factory;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseFactorySendFlags(TRITONBACKEND_ResponseFactory *factory, uint32_t flags) {
  const std::scoped_lock guard(lock);
  EXPECT(flags == TRITONSERVER_RESPONSE_COMPLETE_FINAL);
  finish(*factory->client);
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseFactoryIsCancelled(TRITONBACKEND_ResponseFactory *factory, bool *cancelled) {
  const std::scoped_lock guard(lock);
  *cancelled = factory->client->cancelled;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseNewFromFactory(TRITONBACKEND_Response **response,
                                                         TRITONBACKEND_ResponseFactory *factory) {
  *response = new TRITONBACKEND_Response{factory->client, {}};
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseOutput(TRITONBACKEND_Response *response, TRITONBACKEND_Output **output,
                                                 const char *name, TRITONSERVER_DataType, const int64_t *shape,
                                                 uint32_t dims_count) {
  EXPECT(std::strcmp(name, "TOKEN") == 0 && dims_count == 1 && *shape == 1);
  *output = &response->output;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_OutputBuffer(TRITONBACKEND_Output *output, void **buffer, uint64_t size,
                                               TRITONSERVER_MemoryType *, int64_t *) {
  EXPECT(size == sizeof output->token);
  *buffer = &output->token;
  return nullptr;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseSend(TRITONBACKEND_Response *response, uint32_t flags,
                                               TRITONSERVER_Error *error) {
  // Who floods the backend is slow to hear that it is busy, so that its engine polls and fills up again meanwhile.
  if (error != nullptr && error->code == TRITONSERVER_ERROR_UNAVAILABLE)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  const std::scoped_lock guard(lock);
  auto &client = *response->client;
  EXPECT(!client.final);
  if (error == nullptr) client.tokens.push_back(response->output.token);
  if (error != nullptr) {
    client.failed = error->message;
    client.code = error->code;
  }
  delete response;
  if (flags != 0) finish(client);
  changed.notify_all();
  return nullptr;
}

/// Triton and its clients.
struct Server {
  TRITONBACKEND_Backend backend;
  TRITONBACKEND_ModelInstance instance;
  std::deque<Client> clients;

  Server() {
    EXPECT(TRITONBACKEND_Initialize(&backend) == nullptr);
    EXPECT(TRITONBACKEND_ModelInstanceInitialize(&instance) == nullptr);
  }
  /// One Execute of so many requests.
  std::vector<Client *> send(std::uint32_t count, const char *tier, std::int64_t max_tokens) {
    std::vector<Client *> sent;
    std::vector<TRITONBACKEND_Request *> requests;
    for (std::uint32_t index = 0; index < count; ++index) {
      auto &client = *sent.emplace_back(&clients.emplace_back());
      client.texts = {{"tenant", "acme"}, {"tier", tier}};
      client.max_tokens = max_tokens;
      requests.push_back(new TRITONBACKEND_Request{&client, {}});
    }
    EXPECT(TRITONBACKEND_ModelInstanceExecute(&instance, requests.data(), count) == nullptr);
    for (const auto *client : sent) EXPECT(client->released);
    return sent;
  }
  Client &send(const char *tier, std::int64_t max_tokens) { return *send(1, tier, max_tokens)[0]; }
  template <class Done> void wait(Done done) {
    std::unique_lock guard(lock);
    EXPECT(changed.wait_for(guard, std::chrono::seconds(60), done));
  }
};

static void whole(const Client &client) {
  EXPECT(client.failed.empty() && client.tokens.size() == static_cast<std::size_t>(client.max_tokens));
  for (std::size_t at = 0; at < client.tokens.size(); ++at) EXPECT(client.tokens[at] == static_cast<std::int32_t>(at));
}

/// More requests at once than the intake holds, while others run: each is served, or told to come again.
static void flood(Server &server) {
  const int before = finished;
  const auto running = server.send(4, "batch", 50);
  const auto sent = server.send(1500, "near-realtime", 1);
  server.wait([&] { return finished == before + 1504; });
  for (const auto *client : running) whole(*client);
  int served = 0;
  for (const auto *client : sent) {
    served += client->failed.empty();
    if (client->failed.empty())
      whole(*client);
    else
      EXPECT(client->code == TRITONSERVER_ERROR_UNAVAILABLE && client->tokens.empty());
  }
  EXPECT(served >= INTAKE);
}

int main() {
  Server server;
  std::vector<Client *> batch;
  for (int request = 0; request < 4; ++request) batch.push_back(&server.send("batch", 4000));
  server.wait([&] { return batch[3]->tokens.size() >= 1500; }); // longer than min_run: they may be asked to yield

  auto &refused = server.send("nobody", 5);
  EXPECT(refused.final && refused.code == TRITONSERVER_ERROR_INVALID_ARG && refused.tokens.empty());
  auto &abandoned = server.send("batch", 1000000);
  auto &urgent = server.send("realtime", 20);
  server.wait([&] { return urgent.final; });
  whole(urgent);
  {
    const std::scoped_lock guard(lock);
    abandoned.cancelled = true;
  }
  server.wait([&] { return abandoned.final; });
  EXPECT(abandoned.code == TRITONSERVER_ERROR_CANCELLED);
  server.wait([&] { return finished == 7; });
  for (const auto *client : batch) {
    whole(*client);
    EXPECT(client->place > urgent.place); // one of them gave way
  }

  flood(server);

  auto &unloaded = server.send("batch", 1000000);
  EXPECT(TRITONBACKEND_ModelInstanceFinalize(&server.instance) == nullptr);
  EXPECT(unloaded.final && unloaded.code == TRITONSERVER_ERROR_UNAVAILABLE);
  return 0;
}
