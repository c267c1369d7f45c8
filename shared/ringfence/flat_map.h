// FlatMap<K, V>: a map as a sorted vector, for few entries that seldom come and go: a third of the code of std::unordered_map,
// which a browser would load, and iterated in order.
//
// Threads  no locking: one thread at a time, reads included.
// Bounds   none of its own: whoever holds it has one.
// Cost     find: O(log n). emplace, erase: O(n) moves; emplace behind the last key: O(1) amortised.
// Refs     iterators and references are valid until the next emplace or erase.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace ringfence {

template <typename K, typename V>
class FlatMap {
 public:
  using Entry = std::pair<K, V>;
  using iterator = typename std::vector<Entry>::iterator;
  using const_iterator = typename std::vector<Entry>::const_iterator;

  iterator begin() noexcept { return entries_.begin(); }
  iterator end() noexcept { return entries_.end(); }
  const_iterator begin() const noexcept { return entries_.begin(); }
  const_iterator end() const noexcept { return entries_.end(); }
  std::size_t size() const noexcept { return entries_.size(); }

  iterator find(const K& key) noexcept {
    const iterator at = place(key);
    return at != end() && at->first == key ? at : end();
  }
  const_iterator find(const K& key) const noexcept { return const_cast<FlatMap*>(this)->find(key); }

  // Where the key is, with the value that it has now; `value` is dropped if it was there.
  iterator emplace(const K& key, V value) {
    const iterator at = place(key);
    return at != end() && at->first == key ? at : entries_.insert(at, {key, std::move(value)});
  }
  void erase(iterator at) { entries_.erase(at); }
  template <typename Predicate>
  void erase_if(Predicate predicate) {
    entries_.erase(std::remove_if(begin(), end(), predicate), end());
  }

 private:
  iterator place(const K& key) noexcept {
    return std::lower_bound(begin(), end(), key,
                            [](const Entry& entry, const K& wanted) { return entry.first < wanted; });
  }

  std::vector<Entry> entries_;
};

}  // namespace ringfence
