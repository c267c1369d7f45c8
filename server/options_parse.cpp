// The parser of options. Help, ranges, defaults, the environment and the file all come from the table (options_rows.h).
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <variant>

#include <CLI/CLI.hpp>

#include <ringfence/record.h>

#include "options.h"
#include "options_row.h"
#include "options_rows.h"
#include "realtime/channel.h"

namespace ringfence {
namespace {

constexpr std::uintmax_t kConfigBytesMax = kMiB;
constexpr std::size_t kMessageBytesMax = 300;

std::string number_text(const Row& row, std::uint64_t value) {
  return row.unit == Unit::bytes ? size_text(value) : std::to_string(value);
}

const char* value_name(const Row& row) {
  if (std::holds_alternative<bool*>(row.field)) return "";
  if (std::holds_alternative<std::string*>(row.field) || std::holds_alternative<std::vector<std::string>*>(row.field))
    return row.value;
  switch (row.unit) {
    case Unit::bytes: return "SIZE";
    case Unit::ms: return "MS";
    case Unit::s: return "SECONDS";
    case Unit::count: break;
  }
  return "N";
}

std::string default_text(const Row& row) {
  return std::visit(
      [&row](auto* field) -> std::string {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, std::string>)
          return *field;
        else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::vector<std::string>>)
          return {};
        else
          return number_text(row, *field);
      },
      row.field);
}

// Throws UsageError.
void set(const Row& row, const std::vector<std::string>& values) {
  const auto number = [&row](const std::string& text) {
    std::uint64_t value = 0;
    bool good = parse_size(text, value);
    if (row.unit != Unit::bytes) {
      const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      good = error == std::errc() && stop == text.data() + text.size();
    }
    if (!good || value < row.min || value > row.max)
      throw UsageError(std::string("--") + row.name + ": '" + text + "' is not in " + number_text(row, row.min) + ".." +
                       number_text(row, row.max));
    return value;
  };
  const std::string last = values.empty() ? std::string() : values.back();
  std::visit(
      [&](auto* field) {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, std::string>)
          *field = last;
        else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          *field = values;
          std::erase(*field, std::string());  // '' is none, where there is a default
        } else if constexpr (std::is_same_v<T, bool>)
          *field = last == "true";
        else
          *field = static_cast<T>(number(last));
      },
      row.field);
}

std::string env_name(const Row& row) {
  std::string name = "RINGFENCE_";
  for (const char* c = row.name; *c; ++c) name += *c == '-' ? '_' : static_cast<char>(*c >= 'a' ? *c - 'a' + 'A' : *c);
  return name;
}

void add_rows(CLI::App& app, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const std::string flag = std::string("--") + row.name;
    const auto take = [row](const CLI::results_t& values) {
      set(row, values);
      return true;
    };
    if (std::holds_alternative<bool*>(row.field))
      app.add_flag_function(flag, [row](std::int64_t count) { set(row, {count > 0 ? "true" : "false"}); });
    else if (std::holds_alternative<std::vector<std::string>*>(row.field))
      app.add_option(flag, take)->expected(1, 1000)->allow_extra_args(false);
    else
      app.add_option(flag, take)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

// CLI11 lets the file win over the environment; we want it the other way round, so a variable becomes an argument,
// unless the command line has the option.
void add_environment(const std::vector<Row>& rows, std::vector<std::string>& args) {
  const std::size_t given = args.size();
  for (const Row& row : rows) {
    const char* value = std::getenv(env_name(row).c_str());
    if (!value || !*value) continue;
    const std::string flag = std::string("--") + row.name;
    const bool named = std::any_of(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(given),
                                   [&](const auto& arg) { return arg == flag || arg.starts_with(flag + "="); });
    if (named) continue;
    if (!std::holds_alternative<std::vector<std::string>*>(row.field)) {
      args.push_back(flag + "=" + value);
      continue;
    }
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (comma > 0) args.push_back(flag + "=" + std::string(rest.substr(0, comma)));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
}

std::string rows_help(const std::vector<Row>& rows) {
  std::string text;
  const char* group = "";
  for (const Row& row : rows) {
    if (std::string_view(group) != row.group) text += std::string("\n") + row.group + "\n";
    group = row.group;
    std::string line = std::string("  --") + row.name + " " + value_name(row);
    line.resize(std::max<std::size_t>(line.size() + 2, 36), ' ');
    line += row.help;
    if (const std::string value = default_text(row); !value.empty()) line += " (" + value + ")";
    text += line + "\n";
  }
  return text;
}

ParsedOptions print(std::string text) {
  ParsedOptions parsed;
  parsed.command = Command::print;
  parsed.text = std::move(text);
  return parsed;
}

std::string help(const std::vector<Row>& serve, const std::vector<Row>& pipe, const std::vector<Row>& hash_key) {
  return "ringfence-server " RINGFENCE_VERSION
         ": channels with bounded histories over WebSocket (/v1/ws)\n\n"
         "  ringfence-server [OPTIONS]                            serve\n"
         "  ringfence-server pipe --channel NAME [OPTIONS]        publish each line of stdin\n"
         "  ringfence-server hash-key --name NAME [OPTIONS]       make an API key (stderr) and its line for --api-keys "
         "(stdout)\n\n"
         "  --help, --version\n"
         "  --config FILE                     options as lines of name = value\n" +
         rows_help(serve) + rows_help(pipe) + rows_help(hash_key) +
         "\nDefaults are in brackets. A SIZE is bytes, or has KiB, MiB or GiB: 64KiB.\n"
         "An option may come from the environment, as RINGFENCE_ and its name: RINGFENCE_MESSAGE_BYTES=64KiB.\n"
         "The command line goes before the environment, the environment before the file.\n"
         "Exit status: 0 well, 1 failed at work (port in use, a line refused), 2 a wrong option or file.\n";
}

// A line that a terminal can be given, whatever is in the file.
std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = c == '\n' ? ' ' : '?';
  return text.substr(0, kMessageBytesMax);
}

// The file's name; empty if there is none.
std::string config_file(const std::vector<std::string>& args) {
  static constexpr std::string_view kFlag = "--config";
  for (std::size_t at = args.size(); at-- > 0;) {
    if (args[at].starts_with("--config=")) return args[at].substr(kFlag.size() + 1);
    if (args[at] == kFlag && at + 1 < args.size()) return args[at + 1];
  }
  return {};
}

// CLI11 reads all of it, whatever it is.
void check_config_file(const std::string& name) {
  std::error_code failed;
  const auto status = std::filesystem::status(name, failed);
  if (!std::filesystem::exists(status)) throw UsageError("--config: '" + name + "' does not exist");
  if (std::filesystem::is_directory(status) || std::filesystem::is_character_file(status) ||
      std::filesystem::is_block_file(status))
    throw UsageError("--config: '" + name + "' is not a file");
  if (std::filesystem::is_regular_file(status) && std::filesystem::file_size(name, failed) > kConfigBytesMax)
    throw UsageError("--config: '" + name + "' has more than " + std::to_string(kConfigBytesMax) + " bytes");
  if (::access(name.c_str(), R_OK) != 0) throw UsageError("--config: '" + name + "' may not be read");
}

// What CLI11 makes of another word, or of a number, differs from version to version: a switch may have these.
void check_switch(const std::string& what, const std::string& value) {
  static constexpr std::string_view kWords[] = {"true", "false", "on", "off", "yes", "no", "1", "0"};
  if (std::find(std::begin(kWords), std::end(kWords), value) == std::end(kWords))
    throw UsageError(one_line(what + ": '" + value + "' is not true or false"));
}

void check_switches(const std::vector<Row>& rows, const std::vector<std::string>& args) {
  for (const Row& row : rows) {
    if (!std::holds_alternative<bool*>(row.field)) continue;
    const std::string flag = std::string("--") + row.name + "=";
    for (const std::string& arg : args)
      if (arg.starts_with(flag)) check_switch(std::string("--") + row.name, arg.substr(flag.size()));
  }
}

// The same for the file.
class CheckedConfig final : public CLI::ConfigTOML {
 public:
  CheckedConfig(const std::vector<Row>& rows, std::string file) : rows_(rows), file_(std::move(file)) {}
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    auto items = CLI::ConfigTOML::from_config(input);
    for (const CLI::ConfigItem& item : items)
      for (const Row& row : rows_)
        if (item.name == row.name && std::holds_alternative<bool*>(row.field))
          for (const std::string& value : item.inputs) check_switch("--config " + file_ + ": " + item.name, value);
    return items;
  }

 private:
  const std::vector<Row>& rows_;
  const std::string file_;
};

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  ParsedOptions parsed;
  const auto serve = serve_rows(parsed.serve);
  const auto pipe = pipe_rows(parsed.pipe);
  std::vector<std::string> args(argv + 1, argv + std::max(argc, 1));
  const auto hash_key = hash_key_rows(parsed.hash_key);
  if (!args.empty() && args.front() == "pipe") parsed.command = Command::pipe;
  if (!args.empty() && args.front() == "hash-key") parsed.command = Command::hash_key;
  if (parsed.command != Command::serve) args.erase(args.begin());
  const auto& rows = parsed.command == Command::pipe ? pipe : parsed.command == Command::hash_key ? hash_key : serve;
  for (const auto& arg : args) {
    if (arg == "--help" || arg == "-h") return print(help(serve, pipe, hash_key));
    if (arg == "--version") return print("ringfence-server " RINGFENCE_VERSION "\n");
  }
  if (parsed.command != Command::hash_key) add_environment(rows, args);  // NAME and ROLE are nobody's settings
  const bool has_config = std::any_of(
      args.begin(), args.end(), [](const auto& arg) { return arg == "--config" || arg.starts_with("--config="); });
  if (const char* file = std::getenv("RINGFENCE_CONFIG"); file && *file && !has_config)
    args.push_back(std::string("--config=") + file);

  const std::string config = config_file(args);
  if (!config.empty()) check_config_file(config);
  check_switches(rows, args);

  CLI::App app;
  app.set_help_flag();
  add_rows(app, rows);
  app.set_config("--config");
  app.config_formatter(std::make_shared<CheckedConfig>(rows, config));
  app.allow_config_extras(CLI::config_extras_mode::error);
  try {
    std::reverse(args.begin(), args.end());  // as CLI11 takes a vector
    app.parse(args);
  } catch (const CLI::ExtrasError&) {
    const auto extras = app.remaining();
    const auto option =
        std::find_if(extras.begin(), extras.end(), [](const auto& one) { return one.starts_with('-'); });
    throw UsageError("'" +
                     (option != extras.end() ? *option
                      : extras.empty()       ? std::string()
                                             : extras.back()) +
                     "' is not an option; --help lists them");
  } catch (const CLI::ConfigError& error) {
    throw UsageError(one_line("--config " + config + ": " + error.what()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(one_line(error.what()));
  }
  if (parsed.command == Command::pipe) {
    if (!valid_channel_name(parsed.pipe.channel))
      throw UsageError("pipe --channel: '" + parsed.pipe.channel + "' is not a channel name: [A-Za-z0-9_:.-]{1,128}");
    if (!valid_type(parsed.pipe.type)) throw UsageError("pipe --type: not 1 to 255 bytes without control characters");
  } else if (parsed.command == Command::serve) {
    if (parsed.serve.host == "localhost") parsed.serve.host = "127.0.0.1";
    static constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error", "off"};
    if (std::find(std::begin(kLevels), std::end(kLevels), parsed.serve.log_level) == std::end(kLevels))
      throw UsageError("--log-level: '" + parsed.serve.log_level + "' is not trace, debug, info, warn, error or off");
  }
  return parsed;
}

}  // namespace ringfence
