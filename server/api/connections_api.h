// Connections over HTTP (protocol.md, "HTTP for back ends"):
//
//   GET  /v1/connections/stats    counts of connections, users, graces, attempts
//   GET  /v1/connections/{user}   a user's connections
//   POST /v1/disconnect           tells a user's connections, one session's, or one by its id to go;
//                                 a user's and a session's on every server
//
// Threads  any; the manager's mutex is held for one look.
// Bounds   an answer: --user-connections entries, those told to go and not yet gone besides.
// Errors   not_found for a user who is not there; bad_json, missing_field, bad_field.
#pragma once

#include "api/router.h"
#include "realtime/connection_manager.h"

namespace ringfence {

class ClusterView;

class ConnectionsApi {
 public:
  static constexpr std::uint64_t kBodyBytesMax = 1024;
  static constexpr std::size_t kReasonBytesMax = 100;

  // `cluster` may be null.
  ConnectionsApi(ConnectionManager& connections, ClusterView* cluster, std::uint32_t json_depth_max)
      : connections_(connections), cluster_(cluster), json_depth_max_(json_depth_max) {}

  void add_routes(Router& router);

 private:
  ApiResponse stats() const;
  ApiResponse of_user(const ApiRequest& request) const;
  ApiResponse disconnect(const ApiRequest& request);

  ConnectionManager& connections_;
  ClusterView* const cluster_;
  const std::uint32_t json_depth_max_;
};

}  // namespace ringfence
