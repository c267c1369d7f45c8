#include "auth/api_keys.h"

#include "options.h"
#include "support/catch.h"

using namespace ringfence;

namespace {

std::string parse_error(const std::string& text) {
  try {
    (void)ApiKeys::parse(text, "file");
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

// name:role:hash, the hash being so many of one digit.
std::string line_of(std::string text, std::size_t digits, char digit) { return text.append(digits, digit); }

}  // namespace

TEST_CASE("ApiKeys finds a key by its hash and knows its role", "[api_keys]") {
  const NewApiKey one = make_api_key("billing", "back_end");
  const NewApiKey two = make_api_key("ops", "admin");
  const ApiKeys keys = ApiKeys::parse("# who may\n" + one.line + "\r\n\n  " + two.line, "file");
  REQUIRE(keys.find(one.key));
  CHECK(keys.find(one.key)->name == "billing");
  CHECK_FALSE(keys.find(one.key)->admin);
  REQUIRE(keys.find(two.key));
  CHECK(keys.find(two.key)->admin);
  CHECK(keys.holds(keys.find(two.key)->id));
  CHECK_FALSE(keys.holds(keys.find(two.key)->id + 2));
  CHECK_FALSE(keys.find(make_api_key("billing", "back_end").key));
  CHECK_FALSE(keys.find(""));
  CHECK_FALSE(keys.find(one.key + "0"));
  CHECK_FALSE(keys.find(one.line.substr(one.line.rfind(':') + 1)));  // the hash is no key
}

TEST_CASE("make_api_key makes another key each time, and its line does not hold it", "[api_keys]") {
  const NewApiKey one = make_api_key("a", "back_end");
  CHECK(looks_like_api_key(one.key));
  CHECK(one.key != make_api_key("a", "back_end").key);
  CHECK(one.line.starts_with("a:back_end:"));
  CHECK(one.line.find(one.key) == std::string::npos);
  CHECK(one.line.find(one.key.substr(4)) == std::string::npos);
  CHECK_THROWS_AS(make_api_key("", "back_end"), UsageError);
  CHECK_THROWS_AS(make_api_key("a:b", "back_end"), UsageError);
  CHECK_THROWS_AS(make_api_key("a", "root"), UsageError);
}

TEST_CASE("ApiKeys::parse names the line that is wrong", "[api_keys]") {
  const std::string good = make_api_key("a", "admin").line;
  CHECK(parse_error(good).empty());
  CHECK(parse_error(good + "\nb:back_end").find("file, line 2: a line is name:role:hash") == 0);
  CHECK(parse_error(line_of("b:root:", 64, '0')).find("role") != std::string::npos);
  CHECK(parse_error(line_of("b c:admin:", 64, '0')).find("name") != std::string::npos);
  CHECK(parse_error(line_of("b:admin:", 63, '0')).find("hash") != std::string::npos);
  CHECK(parse_error(line_of("b:admin:", 64, 'G')).find("hash") != std::string::npos);
  CHECK(parse_error(good + "\n" + make_api_key("a", "admin").line).find("there already") != std::string::npos);
  CHECK(parse_error(good + "\nb" + good.substr(1)).find("there already") != std::string::npos);
}

TEST_CASE("ApiKeys holds kKeysMax keys and refuses one more", "[api_keys]") {
  std::string text;
  std::string name = "k";
  for (std::size_t i = 0; i < ApiKeys::kKeysMax; ++i) {
    name += 'x';
    if (name.size() > 60) name = std::string(1, static_cast<char>('a' + i / 60));
    text += make_api_key(name, "back_end").line;
    text += '\n';
  }
  CHECK(parse_error(text).empty());
  CHECK(parse_error(text + make_api_key("more", "back_end").line).find("more than 256 keys") != std::string::npos);
}
