// BridgeNode: a hub on a FakeEngine, and one who reads a channel as a session does. FollowedRoom: such a node that is connected
// and follows the channel "room", of which nothing is there yet.
//
// Threads  one, which runs the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/stream_bridge.h"
#include "realtime/clock.h"
#include "realtime/hub.h"
#include "support/fake_engine.h"

namespace ringfence::test {

struct BridgeNode {
  explicit BridgeNode(FakeEngine& its_engine, const std::function<void(Limits&)>& change = {},
                      StreamBridge::Settings settings = at_once())
      : engine(its_engine), hub(limits(change), ledger, 1) {
    bridge = StreamBridge::create(hub, ledger, engine, settings);
    hub.attach_bus(*bridge);
  }
  ~BridgeNode() { bridge->stop(); }

  // What the stream has no more is told without waiting whether it comes after all.
  static StreamBridge::Settings at_once() {
    StreamBridge::Settings settings;
    settings.loss_ms = 0;
    return settings;
  }
  static Limits limits(const std::function<void(Limits&)>& change) {
    Limits limits;
    limits.channels_max = 200;
    if (change) change(limits);
    return limits;
  }
  void connect() {
    engine.connect(*bridge);
    engine.run();
  }
  ChannelPtr channel(std::string_view name) { return hub.find_or_create(name).value(); }
  // Somebody reads it.
  void want(std::string_view name, bool reads = true) {
    const ChannelPtr its = channel(name);
    {
      const std::lock_guard lock(its->mutex);
      its->interested_shards = reads ? 1 : 0;
      its->used_at_ms = steady_ms();
    }
    if (reads) hub.wanted(its);
  }
  // As the shard does, which there is none of here: it lets go of the channels it was told of.
  void flush() {
    std::vector<ChannelPtr> taken;
    hub.inbox(0).take(taken);
    for (const ChannelPtr& its : taken) its->take_mark(0);
  }
  std::optional<Result<void>> ready;
  void ask(std::string_view name, std::uint64_t seq = 0) {
    ready.reset();
    hub.when_ready(channel(name), seq, [this](Result<void> result) { ready = result; });
  }
  std::vector<std::string> payloads(std::string_view name) {
    std::vector<std::string> all;
    History& history = channel(name)->history;
    history.visit(history.first_position(), history.size(),
                  [&](const RecordView& record) { all.emplace_back(record.payload); });
    return all;
  }
  Result<StartPoint> resume(std::string_view name, std::uint64_t seq, std::string epoch = {}) {
    const ChannelPtr its = channel(name);
    if (epoch.empty()) epoch = its->epoch();
    return its->start(ResumePoint{epoch, seq}, std::nullopt);
  }

  FakeEngine& engine;
  Ledger ledger;
  Hub hub;
  std::shared_ptr<StreamBridge> bridge;
};

using Texts = std::vector<std::string>;

inline std::string numbered(std::string name, std::uint64_t number) {
  name += std::to_string(number);
  return name;
}

// For TEST_CASE_METHOD.
struct FollowedRoom {
  explicit FollowedRoom(const StreamBridge::Settings& settings = BridgeNode::at_once()) : node(engine, {}, settings) {
    node.hub.on_stream_epoch([this] { ++told; });
    node.connect();
    node.want("room");
    engine.run();
  }
  FakeEngine engine;
  BridgeNode node;
  int told = 0;  // how often another epoch began
};

}  // namespace ringfence::test
