/* tidegate in C++17: what a call gives: a value, or a status and its words. tidegate.hpp includes it. */
#ifndef TIDEGATE_RESULT_HPP
#define TIDEGATE_RESULT_HPP

#include "words.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#if defined(TIDEGATE_EXCEPTIONS) != TIDEGATE_HPP_THROWS
#error "define TIDEGATE_EXCEPTIONS before the first header of tidegate, or not at all"
#endif

#ifdef TIDEGATE_EXCEPTIONS
#include <stdexcept>
#endif

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// Why a call changed nothing.
struct Error {
  Status status;
  /// One line for people, with the numbers in it.
  std::string message;
};

#ifdef TIDEGATE_EXCEPTIONS
/// What value() throws. Only programs that define TIDEGATE_EXCEPTIONS before they include tidegate.hpp have it.
class Failure : public std::runtime_error {
public:
  explicit Failure(Error error) : std::runtime_error(error.message), error_(std::move(error)) {}
  const Error &error() const noexcept { return error_; }

private:
  Error error_;
};

[[noreturn]] inline void fail(const Error &error) { throw Failure(error); }
#else
[[noreturn]] inline void fail(const Error &error) {
  std::fprintf(stderr, "tidegate: %s\n", error.message.c_str());
  std::abort();
}
#endif

/// A value, or an error. Ask before you take: value() of an error throws Failure where TIDEGATE_EXCEPTIONS is
/// defined, and ends the program elsewhere.
///
///     if (auto request = scheduler.submit(now, spec))
///       remember(*request);
///     else if (request.status() == tidegate::Status::queue_full)
///       reply_busy(request.error().message);
template <class T> class [[nodiscard]] Result {
public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const noexcept { return content_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  Status status() const noexcept { return ok() ? Status::ok : std::get_if<1>(&content_)->status; }

  T &value() & {
    if (!ok()) fail(*std::get_if<1>(&content_));
    return *std::get_if<0>(&content_);
  }
  const T &value() const & {
    if (!ok()) fail(*std::get_if<1>(&content_));
    return *std::get_if<0>(&content_);
  }
  T value() && { return std::move(value()); } // by value: `for (auto &x : call().value())` holds what it goes through

  T &operator*() & { return value(); }
  const T &operator*() const & { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T *operator->() { return &value(); }
  const T *operator->() const { return &value(); }

  /// The error; the program ends if there is none.
  const Error &error() const {
    if (ok()) std::abort();
    return *std::get_if<1>(&content_);
  }

private:
  std::variant<T, Error> content_;
};

/// Done, or an error.
template <> class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return ok(); }
  Status status() const noexcept { return ok() ? Status::ok : error_->status; }

  void value() const {
    if (error_) fail(*error_);
  }
  const Error &error() const {
    if (ok()) std::abort();
    return *error_;
  }

private:
  std::optional<Error> error_;
};

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_RESULT_HPP */
