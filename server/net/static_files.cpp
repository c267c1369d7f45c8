#include "net/static_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/file_body.hpp>

namespace ringfence {
namespace {

namespace http = boost::beast::http;

struct Mime {
  std::string_view ending;
  std::string_view type;
};
constexpr Mime kMimes[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".wasm", "application/wasm"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".woff", "font/woff"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/plain; charset=utf-8"},
    {".xml", "application/xml"},
    {".pdf", "application/pdf"},
};

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// No segment that begins with a dot: neither `..` nor a hidden file.
bool plain_path(std::string_view path) noexcept {
  return path.starts_with('/') && path.find("/.") == std::string_view::npos;
}

struct File {
  boost::beast::file_posix file;
  struct stat status{};
};

std::optional<File> open_file(const std::string& path) {
  // NONBLOCK: opening a pipe that somebody put there must not wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::optional<File> file(std::in_place);
  file->file.native_handle(fd);
  if (::fstat(fd, &file->status) != 0 || !S_ISREG(file->status.st_mode)) return std::nullopt;
  return file;
}

std::string etag_of(const struct stat& status) {
  char text[80];
  std::snprintf(text, sizeof text, "\"%llx-%llx%09lx\"", static_cast<unsigned long long>(status.st_size),
                static_cast<unsigned long long>(status.st_mtim.tv_sec),
                static_cast<unsigned long>(status.st_mtim.tv_nsec));
  return text;
}

bool names_etag(std::string_view if_none_match, std::string_view etag) noexcept {
  return if_none_match == "*" || if_none_match.find(etag) != std::string_view::npos;
}

// Of a path below the root, for a Location header: only what needs no thought stays as it is.
std::string encode_path(std::string_view path) {
  static constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string text;
  for (const char c : path) {
    if (c == '/' && text.ends_with('/')) continue;  // "//host" would name another server
    if (kPlain.find(c) != std::string_view::npos) {
      text += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text;
}

}  // namespace

std::string_view mime_type(std::string_view path) noexcept {
  for (const Mime& mime : kMimes) {
    if (path.size() < mime.ending.size()) continue;
    const std::string_view ending = path.substr(path.size() - mime.ending.size());
    bool same = true;
    for (std::size_t i = 0; i < ending.size(); ++i) {
      const char c = ending[i];
      same = same && (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) == mime.ending[i];
    }
    if (same) return mime.type;
  }
  return "application/octet-stream";
}

bool decode_path(std::string_view target, std::string& path) {
  path.clear();
  target = target.substr(0, target.find_first_of("?#"));
  for (std::size_t i = 0; i < target.size(); ++i) {
    char c = target[i];
    if (c == '%') {
      const int high = i + 1 < target.size() ? hex_digit(target[i + 1]) : -1;
      const int low = i + 2 < target.size() ? hex_digit(target[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == 0) return false;
    path += c;
  }
  return true;
}

StaticFiles::StaticFiles(const std::string& folder) {
  std::error_code error;
  if (!folder.empty()) root_ = std::filesystem::canonical(folder, error).string();
  if (root_ == "/") root_.clear();  // check_options refuses it
}

http::message_generator StaticFiles::open(const ReplyTo& to, std::string_view target,
                                          std::string_view if_none_match) const {
  const auto not_found = [&to] { return error_reply(to, HttpError::not_found, "there is nothing at this path"); };
  std::string path;
  if (!decode_path(target, path)) return error_reply(to, HttpError::bad_request, "the path does not decode");
  if (root_.empty() || !plain_path(path)) return not_found();

  std::error_code error;
  std::string resolved = std::filesystem::canonical(root_ + path, error).string();
  if (error || !(resolved == root_ || resolved.starts_with(root_ + "/"))) return not_found();
  if (std::filesystem::is_directory(resolved, error)) {
    if (!path.ends_with('/')) {
      http::response<http::empty_body> moved(http::status::moved_permanently, to.version);
      set_common(moved);
      moved.set(http::field::location, encode_path(path + "/"));
      moved.keep_alive(to.keep_alive);
      moved.content_length(0);
      return moved;
    }
    resolved = std::filesystem::canonical(resolved + "/index.html", error).string();
    if (error || !resolved.starts_with(root_ + "/")) return not_found();
  } else if (path.ends_with('/')) {
    return not_found();
  }
  auto file = open_file(resolved);
  if (!file) return not_found();

  const std::string etag = etag_of(file->status);
  const auto fill = [&](http::fields& fields) {
    set_common(fields);
    fields.set(http::field::etag, etag);
    fields.set(http::field::cache_control, "no-cache");  // keep, but ask: the answer is mostly 304
  };
  if (names_etag(if_none_match, etag)) {
    http::response<http::empty_body> same(http::status::not_modified, to.version);
    fill(same);
    same.keep_alive(to.keep_alive);
    return same;
  }
  if (to.head) {
    http::response<http::empty_body> head(http::status::ok, to.version);
    fill(head);
    head.set(http::field::content_type, mime_type(resolved));
    head.content_length(static_cast<std::uint64_t>(file->status.st_size));
    head.keep_alive(to.keep_alive);
    return head;
  }
  http::response<http::file_body> response(http::status::ok, to.version);
  boost::system::error_code ec;
  response.body().reset(std::move(file->file), ec);
  if (ec) return not_found();
  fill(response);
  response.set(http::field::content_type, mime_type(resolved));
  response.content_length(response.body().size());
  response.keep_alive(to.keep_alive);
  return response;
}

}  // namespace ringfence
