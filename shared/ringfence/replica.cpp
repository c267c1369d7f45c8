#include <ringfence/replica.h>

#include <algorithm>

#include <ringfence/replica_parts.h>

namespace ringfence {

Result<std::unique_ptr<Replica>> Replica::create(std::uint64_t memory_bytes) {
  if (memory_bytes < HistoryLimits::kBytesMin) return Error::bad_capacity;
  return std::unique_ptr<Replica>(new Replica(memory_bytes));
}

Replica::Replica(std::uint64_t memory_bytes) : pool_(ledger_.open("records", memory_bytes).value()) {}

Replica::~Replica() = default;

Result<HistoryId> Replica::add_history(std::string_view name, const HistoryLimits& limits) {
  if (histories_.size() >= kHistoriesMax) return Error::over_budget;
  for (const auto& [id, held] : histories_)
    if (held->name == name) return Error::duplicate_name;
  if (limits.bytes_max > pool_.capacity_bytes() - declared_bytes_) return Error::over_budget;
  auto history = History::create(pool_, limits);
  if (!history) return history.error();
  declared_bytes_ += limits.bytes_max;
  const HistoryId id = next_id_++;
  histories_.emplace(id, std::make_unique<Held>(name, std::move(history).value()));
  return id;
}

bool Replica::remove_history(HistoryId id) {
  const auto found = histories_.find(id);
  if (found == histories_.end()) return false;
  routes_.erase_if([id](const auto& entry) { return entry.second->history == id; });
  std::erase(changed_, id);
  for (std::size_t index = views_.size(); index-- > 0;)
    if (views_[index].history == id) remove_view(views_[index].id);
  declared_bytes_ -= found->second->history.limits().bytes_max;
  // Out of the map first: ending its listeners may call back into this.
  const std::unique_ptr<Held> held = std::move(found->second);
  histories_.erase(found);
  return true;
}

History* Replica::history(HistoryId id) noexcept {
  const auto found = histories_.find(id);
  return found == histories_.end() ? nullptr : &found->second->history;
}

const HistoryCounts* Replica::counts(HistoryId id) const noexcept {
  const auto found = histories_.find(id);
  return found == histories_.end() ? nullptr : &found->second->counts;
}

Result<Subscription> Replica::attach(std::uint32_t channel_id, HistoryId id, bool new_epoch, std::uint64_t after,
                                     SourceId source) {
  History* const target = history(id);
  if (!target) return Error::not_subscribed;
  routes_.erase_if([](const auto& entry) { return entry.second->sections.size() == 0; });
  const std::uint64_t wanted = route_key(source, channel_id);
  for (const auto& [key, route] : routes_)
    if (key == wanted || route->history == id) return Error::already_attached;
  // What was pushed before the first record of the channel stays: it has no number of another epoch.
  if (new_epoch && target->last_seq() > 0) {
    target->reset();
    update_views(*histories_.find(id)->second);
    mark_changed(id);
  }
  if (after > target->last_seq()) target->skip_to(std::min(after, kSeqMax));
  auto& route = *routes_.emplace(wanted, std::make_unique<Route>(id))->second;
  return route.sections.subscribe([this, id](const Section& section) { take(id, section); });
}

void Replica::take(HistoryId id, const Section& section) {
  Held& held = *histories_.find(id)->second;
  History& target = held.history;
  if (section.prev_seq > target.last_seq()) {
    totals_.holes += section.prev_seq - target.last_seq();
    held.counts.holes += section.prev_seq - target.last_seq();
    target.skip_to(section.prev_seq);
  }
  const AppendCounts counts = target.append_section(section);
  totals_.records += counts.appended;
  totals_.duplicate_records += counts.duplicates;
  totals_.refused_records += counts.refused;
  held.counts.records += counts.appended;
  held.counts.duplicates += counts.duplicates;
  held.counts.refused += counts.refused;
  // A refused record is past all the same: it is no hole, and is not asked for again.
  if (counts.refused > 0) {
    std::uint64_t last_seq = 0;
    for (auto rest = section.records; !rest.empty(); rest = rest.subspan(record_stride_bytes(rest.data())))
      last_seq = record_seq(rest.data());
    if (last_seq > target.last_seq()) target.skip_to(last_seq);
  }
  if (counts.appended > 0) {
    update_views(held);
    mark_changed(id);
  }
  if (counts.left == 0) return;
  blocked_ = id;
  ingest_->section = Section{section.channel_id, counts.left, target.last_seq(), counts.left_records};
}

void Replica::note_gap(std::uint32_t channel_id, std::uint64_t to, SourceId source) {
  const auto route = routes_.find(route_key(source, channel_id));
  if (route == routes_.end() || route->second->sections.size() == 0) return;
  History& target = *history(route->second->history);
  if (to > target.last_seq()) target.skip_to(std::min(to, kSeqMax));
}

Result<void> Replica::ingest(std::span<const std::byte> batch, SourceId source) {
  INVARIANT(!ingest_);
  if (const auto valid = validate_batch(batch); !valid) {
    ++totals_.refused_batches;
    ++refused_by_[static_cast<std::size_t>(valid.error())];
    return valid.error();
  }
  ++totals_.batches;
  totals_.bytes += batch.size();
  ingest_.emplace(Ingest{BatchCursor(batch), source, std::nullopt});
  resume();
  return {};
}

void Replica::resume() {
  INVARIANT(ingest_);
  blocked_ = 0;
  for (;;) {
    const std::optional<Section> section = ingest_->section ? ingest_->section : ingest_->sections.next();
    ingest_->section.reset();
    if (!section) break;
    const auto route = routes_.find(route_key(ingest_->source, section->channel_id));
    const bool routed = route != routes_.end() && route->second->sections.emit(*section) > 0;
    if (!routed) totals_.unrouted_records += section->count;
    if (blocked_ != 0) return;
  }
  ingest_.reset();
}

Result<Subscription> Replica::on_change(HistoryId id, std::function<void()> callback) {
  const auto found = histories_.find(id);
  if (found == histories_.end()) return Error::not_subscribed;
  return found->second->listeners.subscribe(std::move(callback));
}

void Replica::mark_changed(HistoryId id) {
  const auto found = histories_.find(id);
  if (found == histories_.end() || found->second->changed) return;
  found->second->changed = true;
  changed_.push_back(id);
}

std::size_t Replica::notify() {
  std::vector<HistoryId> changed;
  changed.swap(changed_);
  std::size_t called = 0;
  for (const HistoryId id : changed) {
    const auto found = histories_.find(id);  // a callback may have removed it
    if (found == histories_.end()) continue;
    found->second->changed = false;
    called += found->second->listeners.emit();
  }
  return called;
}

std::uint64_t Replica::listeners() const noexcept {
  std::uint64_t count = 0;
  for (const auto& [id, held] : histories_) count += held->listeners.size();
  return count;
}

std::uint64_t Replica::listeners(HistoryId id) const noexcept {
  const auto found = histories_.find(id);
  return found == histories_.end() ? 0 : found->second->listeners.size();
}

std::uint64_t Replica::routes() const noexcept {
  std::uint64_t count = 0;
  for (const auto& [key, route] : routes_) count += route->sections.size();
  return count;
}

}  // namespace ringfence
