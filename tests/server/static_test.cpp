#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/static_files.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;
namespace http = boost::beast::http;

namespace {

// A folder with a site in it, and a secret beside the site.
struct Site {
  Site() {
    const auto pattern = (std::filesystem::temp_directory_path() / "ringfence-static-XXXXXX").string();
    std::vector<char> name(pattern.begin(), pattern.end());
    name.push_back(0);
    base = ::mkdtemp(name.data());
    std::filesystem::create_directories(base / "site/sub folder");
    std::filesystem::create_directories(base / "site-secret");
    write("secret.txt", "secret");
    write("site-secret/x.txt", "secret");
    write("site/index.html", "<!doctype html>home");
    write("site/core.wasm", std::string("\0asm\1\0\0\0", 8));
    write("site/big.js", std::string(1 << 20, 'j'));
    write("site/sub folder/index.html", "sub");
    write("site/.hidden", "secret");
    std::filesystem::create_symlink("big.js", base / "site/inside.js");
    std::filesystem::create_symlink("../secret.txt", base / "site/outside.txt");
    std::filesystem::create_directory_symlink("..", base / "site/up");
    std::filesystem::create_symlink("/etc/passwd", base / "site/passwd.txt");
    ::mkfifo((base / "site/fifo").c_str(), 0600);
  }
  ~Site() { std::filesystem::remove_all(base); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(base / name, std::ios::binary) << text;
  }
  TestServer serve() const {
    return TestServer([this](Options& options) { options.static_dir = (base / "site").string(); });
  }
  std::filesystem::path base;
};

}  // namespace

TEST_CASE("Static files come with their type, and the headers that protect a page", "[static]") {
  const Site site;
  const TestServer server(site.serve());
  HttpClient client(server.server.port());
  const auto home = client.get("/");
  CHECK(home.result() == http::status::ok);
  CHECK(home.body() == "<!doctype html>home");
  CHECK(home[http::field::content_type] == "text/html; charset=utf-8");
  CHECK(home["X-Content-Type-Options"] == "nosniff");
  const std::string policy(home["Content-Security-Policy"]);
  CHECK(policy.find("default-src 'self'") == 0);
  CHECK(policy.find("'wasm-unsafe-eval'") != std::string::npos);
  CHECK(policy.find("'unsafe-eval'") == std::string::npos);

  CHECK(client.get("/core.wasm?v=1")[http::field::content_type] == "application/wasm");
  CHECK(client.get("/big.js").body().size() == 1 << 20);
  CHECK(client.get("/inside.js").body().size() == 1 << 20);
  CHECK(client.get("/sub%20folder/").body() == "sub");
  const auto moved = client.get("/sub%20folder");
  CHECK(moved.result() == http::status::moved_permanently);
  CHECK(moved[http::field::location] == "/sub%20folder/");
  const auto head = client.request("HEAD", "/big.js");
  CHECK(head.result() == http::status::ok);
  CHECK(head[http::field::content_length] == "1048576");
  CHECK(client.get("/").result() == http::status::ok);  // the same connection all along
}

TEST_CASE("No path leaves the folder of the static files", "[static]") {
  const Site site;
  const TestServer server(site.serve());
  for (const char* target : {"/../secret.txt",
                             "/%2e%2e/secret.txt",
                             "/..%2fsecret.txt",
                             "/sub%20folder/../../secret.txt",
                             "/%2e%2e%2fsecret.txt",
                             "/./../secret.txt",
                             "//../secret.txt",
                             "/../site-secret/x.txt",
                             "/outside.txt",
                             "/up/secret.txt",
                             "/up/",
                             "/passwd.txt",
                             "/.hidden",
                             "/%2ehidden",
                             "/fifo",
                             "/index.html/",
                             "/no-such",
                             "/..",
                             "/%252e%252e/secret.txt",
                             "secret.txt",
                             "http://127.0.0.1/../secret.txt"}) {
    HttpClient client(server.server.port());
    const auto response = client.get(target);
    CAPTURE(target, response.body());
    CHECK(response.result() == http::status::not_found);
    CHECK(response.body().find("secret") == std::string::npos);
  }
  for (const char* target : {"/%", "/%4", "/%zz", "/a%00b"}) {
    HttpClient client(server.server.port());
    CAPTURE(target);
    CHECK(error_code_of(client.get(target)) == "bad_request");
  }
}

TEST_CASE("A file that the browser has is answered with 304, until it changes", "[static]") {
  const Site site;
  const TestServer server(site.serve());
  HttpClient client(server.server.port());
  const std::string etag(client.get("/core.wasm")[http::field::etag]);
  REQUIRE_FALSE(etag.empty());
  const auto same = client.get("/core.wasm", "If-None-Match: " + etag + "\r\n");
  CHECK(same.result() == http::status::not_modified);
  CHECK(same.body().empty());
  site.write("core.wasm.new", "another");
  std::filesystem::rename(site.base / "core.wasm.new", site.base / "site/core.wasm");
  const auto changed = client.get("/core.wasm", "If-None-Match: " + etag + "\r\n");
  CHECK(changed.result() == http::status::ok);
  CHECK(changed.body() == "another");
}

TEST_CASE("Without a folder there are no files", "[static]") {
  const TestServer server;
  HttpClient client(server.server.port());
  CHECK(error_code_of(client.get("/")) == "not_found");
  CHECK(error_code_of(client.get("/etc/passwd")) == "not_found");
}

TEST_CASE("mime_type goes by the ending in any case", "[static]") {
  CHECK(mime_type("/a/b.WASM") == "application/wasm");
  CHECK(mime_type("x.mjs") == "text/javascript; charset=utf-8");
  CHECK(mime_type("x") == "application/octet-stream");
  CHECK(mime_type("js") == "application/octet-stream");
}
