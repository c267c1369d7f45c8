// Event types: each struct that is published gets a number, so that a bus finds its subscriptions by an index.
//
//   struct Connected { static constexpr std::string_view kName = "connect"; ... };
//
// An event may say what it holds outside of itself, which counts against --event-memory:
//   std::size_t data_bytes() const;
// Threads  numbers are given before main(), names are read by any thread.
// Bounds   kEventTypesMax types in a program, kEventBytesMax bytes each (checked when compiled).
// Errors   one type more is our bug, or the embedding program's (INVARIANT).
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace ringfence {

inline constexpr unsigned kEventTypesMax = 64;
inline constexpr std::size_t kEventBytesMax = 176;

namespace detail {
// From 1, so that a type whose number is not given yet has no subscriptions.
unsigned register_event_type(std::string_view name);
template <typename E>
inline const unsigned event_type_number = register_event_type(E::kName);
}  // namespace detail

template <typename E>
unsigned event_type() noexcept {
  static_assert(sizeof(E) <= kEventBytesMax,
                "an event is kept in a slot of this size; put what is large behind a pointer");
  static_assert(std::is_nothrow_move_constructible_v<E>);
  return detail::event_type_number<E>;
}

std::string_view event_type_name(unsigned type) noexcept;
unsigned event_types() noexcept;  // numbers given, 0 included

template <typename E>
std::size_t event_data_bytes(const E& event) noexcept {
  if constexpr (requires { event.data_bytes(); })
    return event.data_bytes();
  else
    return 0;
}

}  // namespace ringfence
