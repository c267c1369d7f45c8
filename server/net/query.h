// query_value(): one value out of a request target's query, percent-escapes resolved; empty if it is not there. An
// escape that is none is kept as it stands, for whoever checks the value.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace ringfence {

inline std::string unescaped(std::string_view raw) {
  const auto hex = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string value;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '%' && raw.size() - i > 2 && hex(raw[i + 1]) >= 0 && hex(raw[i + 2]) >= 0) {
      value += static_cast<char>(hex(raw[i + 1]) * 16 + hex(raw[i + 2]));
      i += 2;
    } else {
      value += raw[i];
    }
  }
  return value;
}

// Calls take(value) for each value of `name`, in order, until it returns false.
template <typename Take>
void each_query_value(std::string_view target, std::string_view name, Take take) {
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return;
  std::string_view query = target.substr(mark + 1, target.find('#') - mark - 1);
  while (!query.empty()) {
    const std::size_t ampersand = query.find('&');
    const std::string_view pair = query.substr(0, ampersand);
    query = ampersand == std::string_view::npos ? std::string_view() : query.substr(ampersand + 1);
    if (pair.substr(0, pair.find('=')) != name) continue;
    if (!take(unescaped(pair.size() > name.size() ? pair.substr(name.size() + 1) : std::string_view()))) return;
  }
}

// The first one.
inline std::string query_value(std::string_view target, std::string_view name) {
  std::string found;
  each_query_value(target, name, [&found](std::string value) {
    found = std::move(value);
    return false;
  });
  return found;
}

// All of them as one list: ?a=1,2&a=3 is "1,2,3".
inline std::string query_list(std::string_view target, std::string_view name) {
  std::string list;
  each_query_value(target, name, [&list](const std::string& value) {
    if (!list.empty() && !value.empty()) list += ',';
    list += value;
    return true;
  });
  return list;
}

}  // namespace ringfence
