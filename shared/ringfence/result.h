// Result<T>: a T or an Error. Against std::expected (C++23): what clang 14 with libc++ 14 can compile.
//
// Owns     its T.
// Errors   value() of an error, or error() of a value, is a broken precondition (INVARIANT).
#pragma once

#include <optional>
#include <utility>

#include <ringfence/error.h>
#include <ringfence/invariant.h>

namespace ringfence {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // implicit, as in `return value;`
  Result(Error error) : error_(error) {}         // implicit, as in `return Error::bad_json;`

  explicit operator bool() const noexcept { return value_.has_value(); }
  bool ok() const noexcept { return value_.has_value(); }

  T& value() & {
    INVARIANT(value_.has_value());
    return *value_;
  }
  const T& value() const& {
    INVARIANT(value_.has_value());
    return *value_;
  }
  T&& value() && {
    INVARIANT(value_.has_value());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error error() const {
    INVARIANT(!value_.has_value());
    return error_;
  }

 private:
  std::optional<T> value_;
  Error error_{};
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : failed_(true), error_(error) {}

  explicit operator bool() const noexcept { return !failed_; }
  bool ok() const noexcept { return !failed_; }
  Error error() const {
    INVARIANT(failed_);
    return error_;
  }

 private:
  bool failed_ = false;
  Error error_{};
};

}  // namespace ringfence
