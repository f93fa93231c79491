/* tidegate in C++17: how calls of tidegate.h become results. tidegate.hpp includes it. */
#ifndef TIDEGATE_HANDLE_HPP
#define TIDEGATE_HANDLE_HPP

#include "result.hpp"

#include <string>
#include <type_traits>

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

namespace detail {

struct Free {
  void operator()(tidegate_config_builder_t *builder) const noexcept { tidegate_config_builder_free(builder); }
  void operator()(tidegate_config_t *config) const noexcept { tidegate_config_free(config); }
  void operator()(tidegate_scheduler_t *scheduler) const noexcept { tidegate_scheduler_free(scheduler); }
  void operator()(tidegate_shared_t *shared) const noexcept { tidegate_shared_free(shared); }
  void operator()(tidegate_snapshot_t *snapshot) const noexcept { tidegate_snapshot_free(snapshot); }
};

/// A list of records or of words as the C functions take it: the same bytes.
template <class C, class Ours> C *as_c(Ours *list) noexcept {
  static_assert(sizeof(Ours) == sizeof(C) && alignof(Ours) == alignof(C) && std::is_standard_layout_v<Ours>);
  return reinterpret_cast<C *>(list);
}

/// The error of a call that left no words.
inline Error error_of(tidegate_status_t status) { return {Status{status}, words(Status{status})}; }

/// `value`, if the call that wrote it succeeded. It comes by reference, since the call may be another argument.
template <class T> Result<std::decay_t<T>> asked(tidegate_status_t status, T &&value) {
  if (status != TIDEGATE_STATUS_OK) return error_of(status);
  return std::forward<T>(value);
}
inline Result<void> asked(tidegate_status_t status) {
  if (status != TIDEGATE_STATUS_OK) return error_of(status);
  return {};
}

/// A text that a C function cuts to the room there is, and tells the length of: asks again while it is longer, which
/// it may become where other threads are at work. Gives the status of the last call.
template <class Write> tidegate_status_t read_text(std::string &text, Write write) {
  for (;;) {
    std::size_t length = 0;
    const tidegate_status_t status = write(text.data(), text.size() + 1, &length); // the NUL has its place already
    const bool whole = length <= text.size();
    text.resize(length);
    if (whole) return status;
  }
}
template <class Write> Result<std::string> text_of(Write write) {
  std::string text;
  const auto status = read_text(text, write);
  return asked(status, std::move(text));
}

/// What came of a call that writes words where it fails.
template <class Write> Result<void> told(Write write) {
  std::string message;
  const auto status = read_text(message, write);
  if (status == TIDEGATE_STATUS_OK) return {};
  return message.empty() ? error_of(status) : Error{Status{status}, std::move(message)};
}

} // namespace detail

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_HANDLE_HPP */
