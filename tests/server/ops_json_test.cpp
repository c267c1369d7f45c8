// The JSON of ops: what is taken, what is refused, and that no bytes whatever do harm.
#include <nlohmann/json.hpp>

#include "protocol/events.h"
#include "protocol/json.h"
#include "protocol/request.h"
#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::optional<Error> error_of(std::string text, Request& request) {
  const auto fault = parse_request(text, 10, request);
  return fault ? std::optional<Error>(fault->code) : std::nullopt;
}

}  // namespace

TEST_CASE("check_json takes what RFC 8259 takes, numbers of any size too", "[ops_json]") {
  for (const char* text : {"0", "-0", "1e400", "-1.5E-3", "1180591620717411303424", "\"\"", "\"\\u0000\\ud800\"", "[]",
                           "{}", " [ 1 , {\"a\" : null} ] ", "{\"a\":1,\"a\":2}", "true", "\"\x7f\""}) {
    INFO(text);
    CHECK_FALSE(check_json(text, 10));
  }
  for (const char* text :
       {"",       " ",     "01",      "+1",       ".5",    "1.",         "1e", "-",        "[1,]",
        "[,1]",   "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "\"", "\"\\x\"",  "\"\\u12g4\"",
        "\"\n\"", "tru",   "nul",     "NaN",      "1 2",   "]",          "[",  "{\"a\":[}"}) {
    INFO(text);
    CHECK(check_json(text, 10));
  }
  CHECK(check_json("[1, x]", 10)->position == 4);
  CHECK_FALSE(check_json("[[[]]]", 3));
  CHECK(check_json("[[[]]]", 2)->what == "nested too deep");
  CHECK(check_json(std::string(10'000'000, '['), 10)->position == 10);
}

TEST_CASE("check_json agrees with another reader on texts that were tampered with", "[ops_json]") {
  auto random = seeded_random();
  const std::string seed = R"({"op":"x","list":[1,-2.5,0,true,false,null,"a\"b\\",{"k":{}}, [ ]],"n":{"m":"\n\t"}})";
  static constexpr std::string_view kBytes = "{}[]\",:\\ 0123456789.-+tfn\n\tabc/";
  int valid = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string text = seed;
    for (auto edits = pick(random, 0, 3); edits > 0 && !text.empty(); --edits) {
      const std::size_t at = pick(random, 0, text.size() - 1);
      const char byte = kBytes[pick(random, 0, kBytes.size() - 1)];
      switch (pick(random, 0, 3)) {
        case 0: text[at] = byte; break;
        case 1: text.insert(at, 1, byte); break;
        case 2: text.erase(at, pick(random, 1, 5)); break;
        default: text.resize(at + 1);
      }
    }
    const bool accepted = nlohmann::json::accept(text);
    valid += accepted;
    INFO(text);
    REQUIRE(!check_json(text, 100).has_value() == accepted);
  }
  CHECK(valid > 5'000);
}

TEST_CASE("parse_request survives any bytes, and what it takes lies in the message", "[ops_json]") {
  auto random = seeded_random();
  const std::string seeds[] = {
      R"({"op":"publish","id":"a\u0041","channel":"room:1","type":"t\u00e9","data":{"a":[1,2,{"b":"\ud83d\ude00"}]}})",
      R"({"op":"subscribe","id":-12,"channel":"room","after":{"epoch":"k3f9","seq":41},"last":50})",
      R"({"op":"history","channel":"room","after":41,"limit":100,"epoch":"abc"})"};
  int taken = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text = seeds[i % 3];
    for (auto edits = pick(random, 0, 4); edits > 0 && !text.empty(); --edits) {
      const std::size_t at = pick(random, 0, text.size() - 1);
      switch (pick(random, 0, 4)) {
        case 0: text[at] = static_cast<char>(pick(random, 0, 255)); break;
        case 1: text.insert(at, text.substr(pick(random, 0, text.size() - 1), pick(random, 0, 20))); break;
        case 2: text.erase(at, pick(random, 1, 9)); break;
        case 3: text.insert(at, 1, '\\'); break;
        default: text.resize(at);
      }
    }
    Request request;
    const auto fault = parse_request(text, 10, request);
    if (fault) {
      REQUIRE_FALSE(fault->message.empty());
      continue;
    }
    ++taken;
    REQUIRE(request.type.size() <= 255);
    if (request.op != Op::publish) continue;
    REQUIRE(request.data.data() >= text.data());
    REQUIRE(request.data.data() + request.data.size() <= text.data() + text.size());
    REQUIRE_FALSE(check_json(request.data, 10));
  }
  CHECK(taken > 5'000);
}

TEST_CASE("parse_request keeps data as sent, with spaces for the line breaks between tokens", "[ops_json]") {
  Request request;
  std::string text = "{\"data\" :\r\n [1e400,\n \"\\n\" ]\n,\"op\":\"publish\",\"channel\":\"a\"}";
  REQUIRE_FALSE(parse_request(text, 10, request));
  CHECK(request.data == "[1e400,  \"\\n\" ]");
  CHECK(request.type == "message");
  // A field's name may be written with escapes.
  CHECK_FALSE(error_of(R"({"\u006fp":"ping"})", request));
  CHECK(error_of(R"({"\u006fp":"ping","op":"ping"})", request) == Error::bad_field);
}

TEST_CASE("valid_utf8 refuses what RFC 3629 refuses", "[ops_json]") {
  for (const char* text : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"})
    CHECK(valid_utf8(text));
  for (const char* text : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                           "\xf8\x88\x80\x80\x80", "\xe2\x82", "\xff", "a\xc3z"})
    CHECK_FALSE(valid_utf8(text));
}

TEST_CASE("Times are written as RFC 3339 with microseconds, whatever the record says", "[ops_json]") {
  const auto text = [](std::int64_t time_us) {
    const auto bytes = rfc3339(time_us);
    return std::string(bytes.data(), bytes.size());
  };
  CHECK(text(0) == "1970-01-01T00:00:00.000000Z");
  CHECK(text(-1) == "1969-12-31T23:59:59.999999Z");
  CHECK(text(1'768'478'400'123'456) == "2026-01-15T12:00:00.123456Z");
  CHECK(text(951'782'400'000'000) == "2000-02-29T00:00:00.000000Z");
  CHECK(text(INT64_MAX) == "9999-12-31T23:59:59.999999Z");
  CHECK(text(INT64_MIN) == "0000-01-01T00:00:00.000000Z");
}

TEST_CASE("An event's text is as long as was measured, and names the record before it where that is not seq - 1",
          "[ops_json]") {
  const EventText event{"room:1"};
  RecordView record;
  record.seq = 42;
  record.type = "say \"\\\"";
  record.payload = "{\"a\":1}";
  for (const std::uint64_t prev_seq : {0, 7, 40, 41}) {
    std::string text(event.bytes(record, prev_seq), '\0');
    CHECK(event.write(text.data(), record, prev_seq) == text.data() + text.size());
    const auto json = nlohmann::json::parse(text);
    CHECK(json["type"] == "say \"\\\"");
    CHECK(json["data"]["a"] == 1);
    CHECK(json.contains("prev") == (prev_seq != 41));
    if (prev_seq != 41) CHECK(json["prev"] == prev_seq);
  }
}
