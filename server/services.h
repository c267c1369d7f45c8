// Services: the parts of one server that know of each other. Sessions reach them through their shard.
//
// Owns     nothing. Server owns every part, creates them in the order of the members and destroys them in reverse.
// Threads  the pointers never change between Server::start() and the end of the last shard; each part says who may call it.
#pragma once

namespace ringfence {

class Authenticator;
class BackEnds;
class CacheManager;
class ClusterPresence;
class ClusterView;
class ConnectionManager;
class EventBus;
class HealthChecks;
class Hub;
class MemoryLeakMonitor;
class NatsService;
class Presence;
class TaskRegistry;

struct Services {
  // Never null once a shard runs.
  EventBus* events = nullptr;
  TaskRegistry* tasks = nullptr;
  CacheManager* caches = nullptr;
  Hub* hub = nullptr;
  ConnectionManager* connections = nullptr;
  Authenticator* auth = nullptr;
  Presence* presence = nullptr;
  HealthChecks* health = nullptr;
  MemoryLeakMonitor* monitor = nullptr;
  // Null without --nats.
  NatsService* nats = nullptr;
  ClusterView* cluster = nullptr;
  ClusterPresence* cluster_presence = nullptr;
  BackEnds* back_ends = nullptr;
};

}  // namespace ringfence
