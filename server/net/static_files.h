// StaticFiles: the files below one folder, over HTTP.
//
// A path cannot leave the folder: `..` (also encoded) and names that begin with a dot are not found, and what a symbolic
// link leads to must lie below the folder as well.
// Owns     the folder's resolved path.
// Threads  open() is const and may be called on any thread.
// Cost     open: a few system calls for path and file; blocking, as the disk is.
// Errors   not_found, bad_request (a path that does not decode), method_not_allowed.
#pragma once

#include <string>
#include <string_view>

#include <boost/beast/http/message_generator.hpp>
#include <boost/beast/http/string_body.hpp>

#include "net/http_reply.h"

namespace ringfence {

class StaticFiles {
 public:
  // `folder` is empty (nothing is found) or can be read.
  explicit StaticFiles(const std::string& folder);

  // The file that `target` (path and query) names, `index.html` for a path that ends with a slash; 304 where the
  // request's If-None-Match has its ETag; 301 for a folder without its slash.
  boost::beast::http::message_generator open(const ReplyTo& to, std::string_view target,
                                             std::string_view if_none_match) const;

 private:
  std::string root_;  // resolved, without a slash at the end; empty: no files
};

// As Content-Type; by the name's ending, lower or upper case.
std::string_view mime_type(std::string_view path) noexcept;

// The decoded path of a target, without its query. False if it does not decode or holds a zero.
bool decode_path(std::string_view target, std::string& path);

}  // namespace ringfence
