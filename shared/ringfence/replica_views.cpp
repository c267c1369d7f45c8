// The part of Replica for views, local records, and the memory that is set aside for others.
#include <algorithm>

#include <ringfence/replica_parts.h>

namespace ringfence {

Result<std::uint64_t> Replica::push(HistoryId id, std::int64_t time_us, std::string_view type, std::string_view text,
                                    std::uint32_t charge_bytes, Numbering numbering) {
  const auto found = histories_.find(id);
  if (found == histories_.end()) return Error::not_subscribed;
  auto position = found->second->history.push(time_us, type, text, charge_bytes, numbering);
  if (!position) return position;
  update_views(*found->second);
  mark_changed(id);
  return position;
}

void Replica::clear(HistoryId id) {
  const auto found = histories_.find(id);
  if (found == histories_.end()) return;
  found->second->history.clear();
  update_views(*found->second);
  mark_changed(id);
}

Result<ViewId> Replica::add_view(HistoryId id, ViewFilter filter, std::uint32_t capacity, std::int64_t rate_bucket_us) {
  const auto found = histories_.find(id);
  if (found == histories_.end()) return Error::not_subscribed;
  if (capacity == 0 || capacity > View::kCapacityMax) return Error::bad_capacity;
  if (views_.size() >= kViewsMax) return Error::over_budget;
  if (auto room = set_aside(View::memory_bytes(capacity)); !room) return room.error();
  auto view = View::create(std::move(filter), capacity, rate_bucket_us);
  if (!view) {
    give_back(View::memory_bytes(capacity));
    return view.error();
  }
  Held& held = *found->second;
  std::unique_ptr<View> owned = std::move(view).value();
  owned->update(held.history, held.channel);
  held.views.push_back(owned.get());
  const ViewId view_id = next_view_++;
  views_.push_back({view_id, id, std::move(owned)});
  return view_id;
}

std::size_t Replica::view_index(ViewId id) const noexcept {
  std::size_t low = 0;
  for (std::size_t high = views_.size(); low < high;) {
    const std::size_t middle = (low + high) / 2;
    if (views_[middle].id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low < views_.size() && views_[low].id == id ? low : views_.size();
}

bool Replica::remove_view(ViewId id) {
  const std::size_t index = view_index(id);
  if (index == views_.size()) return false;
  std::erase(histories_.find(views_[index].history)->second->views, views_[index].view.get());
  give_back(View::memory_bytes(views_[index].view->capacity()));
  views_.erase(views_.begin() + static_cast<std::ptrdiff_t>(index));
  return true;
}

View* Replica::view(ViewId id) {
  const std::size_t index = view_index(id);
  if (index == views_.size()) return nullptr;
  const Held& held = *histories_.find(views_[index].history)->second;
  View& view = *views_[index].view;
  view.update(held.history, held.channel);
  return &view;
}

void Replica::set_channel(HistoryId id, std::string_view channel) {
  const auto found = histories_.find(id);
  if (found != histories_.end()) found->second->channel = channel;
}

void Replica::update_views(Held& held) {
  for (View* const view : held.views) view->update(held.history, held.channel);
}

Result<void> Replica::set_aside(std::uint64_t bytes) noexcept {
  if (bytes > pool_.capacity_bytes()) return Error::bad_capacity;
  if (bytes > pool_.capacity_bytes() - declared_bytes_) return Error::over_budget;
  declared_bytes_ += bytes;
  return {};
}

void Replica::give_back(std::uint64_t bytes) noexcept {
  INVARIANT(bytes <= declared_bytes_);
  declared_bytes_ -= bytes;
}

}  // namespace ringfence
