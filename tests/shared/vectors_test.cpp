// tests/vectors/batches.txt: every message is refused with its code, or holds what the file says.
#include <ringfence/replica.h>

#include <fstream>
#include <string>

#include "support/catch.h"

using namespace ringfence;

namespace {

struct Vector {
  std::string name;
  std::string expect;
  std::vector<std::byte> bytes;
  std::vector<std::vector<std::string>> lines;  // fields of `section` and `record`
};

std::vector<std::string> fields_of(const std::string& line, std::size_t most) {
  std::vector<std::string> fields;
  std::size_t from = 0;
  while (fields.size() + 1 < most) {
    const std::size_t tab = line.find('\t', from);
    if (tab == std::string::npos) break;
    fields.push_back(line.substr(from, tab - from));
    from = tab + 1;
  }
  fields.push_back(line.substr(from));
  return fields;
}

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(at, 2), nullptr, 16)));
  return bytes;
}

std::vector<Vector> read_vectors() {
  std::ifstream file(RINGFENCE_VECTORS_DIR "/batches.txt");
  std::vector<Vector> vectors;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const auto fields = fields_of(line, 5);
    if (fields[0] == "batch") {
      vectors.emplace_back();
      vectors.back().name = fields[1];
    } else if (fields[0] == "expect") {
      vectors.back().expect = fields[1];
    } else if (fields[0] == "hex") {
      vectors.back().bytes = from_hex(fields[1]);
    } else {
      vectors.back().lines.push_back(fields);
    }
  }
  return vectors;
}

// What the batch holds, in the form of the file.
std::vector<std::vector<std::string>> lines_of(const std::vector<std::byte>& bytes) {
  std::vector<std::vector<std::string>> lines;
  BatchCursor cursor(bytes);
  while (const auto section = cursor.next()) {
    lines.push_back({"section", std::to_string(section->channel_id), std::to_string(section->prev_seq),
                     std::to_string(section->count)});
    for (auto rest = section->records; !rest.empty();) {
      const RecordView record = view_record(rest.data());
      lines.push_back({"record", std::to_string(record.seq), std::to_string(record.time_us), std::string(record.type),
                       std::string(record.payload)});
      rest = rest.subspan(record.stride_bytes);
    }
  }
  return lines;
}

}  // namespace

TEST_CASE("Vectors are read and there are both kinds", "[vectors]") {
  std::size_t taken = 0;
  const auto vectors = read_vectors();
  for (const Vector& vector : vectors) taken += vector.expect == "ok";
  CHECK(taken >= 12);
  CHECK(vectors.size() - taken >= 38);
}

TEST_CASE("Batch takes or refuses every vector as it says", "[vectors]") {
  for (const Vector& vector : read_vectors()) {
    INFO(vector.name);
    const auto totals = validate_batch(vector.bytes);
    CHECK((totals.ok() ? "ok" : error_code(totals.error())) == vector.expect);
    if (totals.ok()) CHECK(lines_of(vector.bytes) == vector.lines);
  }
}

TEST_CASE("Batch that is cut anywhere is refused", "[vectors]") {
  for (const Vector& vector : read_vectors()) {
    if (vector.expect != "ok") continue;
    INFO(vector.name);
    for (std::size_t bytes = 0; bytes < vector.bytes.size(); ++bytes) {
      // A copy of its own: a read past the end is then seen by the sanitizer.
      const std::vector<std::byte> cut(vector.bytes.begin(), vector.bytes.begin() + static_cast<std::ptrdiff_t>(bytes));
      CHECK_FALSE(validate_batch(cut).ok());
    }
  }
}

TEST_CASE("Replica is left as it was by every refused vector", "[vectors]") {
  auto replica = Replica::create(1024 * 1024).value();
  const HistoryId id = replica->add_history("a", {100, 4096, HistoryLimits::kNoAgeLimit}).value();
  auto route = replica->attach(7, id, false, 0).value();
  std::uint64_t refused = 0;
  for (const Vector& vector : read_vectors()) {
    if (vector.expect == "ok") continue;
    INFO(vector.name);
    const auto taken = replica->ingest(vector.bytes);
    REQUIRE_FALSE(taken.ok());
    CHECK(error_code(taken.error()) == vector.expect);
    CHECK(replica->totals().refused_batches == ++refused);
    CHECK(replica->history(id)->empty());
    CHECK(replica->history(id)->last_seq() == 0);
    CHECK_FALSE(replica->has_changes());
  }
}
