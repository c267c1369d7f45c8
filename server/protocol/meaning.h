// error_meaning(): what an Error says to a person, where the place that found it has nothing more exact to say.
#pragma once

#include <string_view>

#include <ringfence/error.h>

namespace ringfence {

std::string_view error_meaning(Error code) noexcept;  // static storage

}  // namespace ringfence
