# Set-up of a machine: packages, Node, npm modules. Each step is skipped when there is nothing to do.

DISTRO=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-unknown}" || echo unknown)
SUPPORTED="Debian 12 or 13, or Ubuntu 24.04"

# Alternatives are tried from left to right: the first that the release has is taken.
PACKAGES_BUILD="build-essential cmake ninja-build ccache libboost1.81-dev|libboost-dev nlohmann-json3-dev
  libspdlog-dev libcli11-dev libssl-dev libcpp-jwt-dev prometheus-cpp-dev libnats-dev catch2 emscripten ca-certificates"
PACKAGES_TEST="chromium prometheus nats-server"
PACKAGES_CHECK="clang clang-tidy libclang-rt-dev|libclang-rt-18-dev|libclang-rt-14-dev nats-server"
PACKAGES_CLUSTER="nats-server"
PACKAGES_PEERS="nginx-core libnginx-mod-nchan nats-server"
# Elsewhere the same things under other names, so there they are looked for by what they give.
COMMANDS_BUILD="g++ cmake ninja em++ node npm"
COMMANDS_TEST="chromium|google-chrome-stable promtool nats-server"
COMMANDS_CLUSTER="nats-server"
COMMANDS_CHECK="clang++ clang-tidy nats-server"
COMMANDS_PEERS="nginx nats-server"
HEADERS_BUILD="boost/asio.hpp nlohmann/json.hpp spdlog/spdlog.h CLI/CLI.hpp openssl/evp.h jwt/algorithm.hpp prometheus/text_serializer.h nats/nats.h
  catch2/catch_test_macros.hpp|catch2/catch.hpp"
CMAKE_MIN=3.25
BOOST_MIN=1.81

supported() { case "$DISTRO" in "debian 12" | "debian 13" | "ubuntu 24.04") ;; *) return 1 ;; esac; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]; }
known() { [[ "$(LC_ALL=C apt-cache policy "$1" 2> /dev/null)" =~ Candidate:\ [^\(] ]]; }

# setup_packages set...: the packages of BUILD, TEST, CHECK, CLUSTER or PEERS.
setup_packages() {
  local set specs=() spec name chosen wanted=() commands=() headers=()
  for set in "$@"; do
    local packages="PACKAGES_$set" names="COMMANDS_$set" includes="HEADERS_$set"
    specs+=(${!packages}) commands+=(${!names}) headers+=(${!includes:-})
  done
  if ! supported || ! command -v apt-get > /dev/null; then
    setup_elsewhere "${commands[@]}" -- "${headers[@]}"
    return
  fi
  for spec in "${specs[@]}"; do
    for name in ${spec//|/ }; do installed "$name" && continue 2; done
    wanted+=("$spec")
  done
  [ ${#wanted[@]} -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || command -v sudo > /dev/null ||
    missing "these packages are missing, and neither root nor sudo is there to install them: ${wanted[*]}"

  say "packages: ${wanted[*]}"
  as_root apt-get update -q || missing "apt-get update failed: no package source is reached"
  chosen=()
  for spec in "${wanted[@]}"; do
    for name in ${spec//|/ }; do
      if known "$name"; then chosen+=("$name"); continue 2; fi
    done
    case "$spec" in
      chromium) ;; # as on Ubuntu, whose chromium-browser only fetches a snap: setup_browser has another
      *) missing "$DISTRO has no package $spec" ;;
    esac
  done
  [ ${#chosen[@]} -gt 0 ] || return 0
  # RUNLEVEL=1: of packages with a service only the programs are wanted; invoke-rc.d then starts none. A machine that has just
  # started may be at its own upgrades: those are waited for.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get -o DPkg::Lock::Timeout=600 install -q -y --no-install-recommends "${chosen[@]}" ||
    missing "apt-get could not install: ${chosen[*]}"
}

has_command() { command -v "$1" > /dev/null; }
header() { # name: where it is
  local folder
  for folder in /usr/include /usr/local/include; do
    [ ! -e "$folder/$1" ] || { echo "$folder/$1"; return; }
  done
  return 1
}
at_least() { # major minor minimum
  [ "$1" -gt "${3%.*}" ] || { [ "$1" -eq "${3%.*}" ] && [ "$2" -ge "${3#*.}" ]; }
}

# What is there, and too old.
too_old() {
  local file
  if has_command cmake && [[ $(cmake --version) =~ ([0-9]+)\.([0-9]+) ]]; then
    at_least "${BASH_REMATCH[@]:1:2}" "$CMAKE_MIN" || echo "cmake >= $CMAKE_MIN (here: ${BASH_REMATCH[0]})"
  fi
  if file=$(header boost/version.hpp) && [[ $(< "$file") =~ BOOST_LIB_VERSION\ \"([0-9]+)_([0-9]+) ]]; then
    at_least "${BASH_REMATCH[@]:1:2}" "$BOOST_MIN" || echo "Boost >= $BOOST_MIN (here: ${BASH_REMATCH[1]}.${BASH_REMATCH[2]})"
  fi
  ! has_command node || node_new_enough || echo "node >= 20.19 or >= 22.12 with npm (here: $(node -v))"
}

# A system that is not known: nothing is installed, everything is looked for. Of alternatives, a|b, any will do.
setup_elsewhere() {
  local lacking=() look=has_command item name
  for item in "$@"; do
    if [ "$item" = -- ]; then look=header; continue; fi
    for name in ${item//|/ }; do $look "$name" > /dev/null && continue 2; done
    item=${item//|/ or }
    if [ $look = header ]; then lacking+=("<$item>"); else lacking+=("$item"); fi
  done
  mapfile -t -O "${#lacking[@]}" lacking < <(too_old)
  [ ${#lacking[@]} -gt 0 ] || return 0
  printf -v item '%s, ' "${lacking[@]}"
  missing "this system ($DISTRO) is not $SUPPORTED, where packages install themselves; missing here: ${item%, }"
}

node_new_enough() {
  command -v node > /dev/null && command -v npm > /dev/null && node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1);'
}

# A Node for Vite 8: the machine's if it is new enough, else one from the npm registry in .cache/node.
setup_node() {
  [ ! -x "$CACHE/node/node_modules/.bin/node" ] || PATH="$CACHE/node/node_modules/.bin:$PATH"
  node_new_enough && return
  supported || missing "Node >= 20.19 or >= 22.12 with npm is missing; here: $(node -v 2>/dev/null || echo none)"
  if ! command -v npm > /dev/null; then
    PACKAGES_NPM="npm" COMMANDS_NPM="npm" setup_packages NPM
  fi
  say "Node 22 into .cache/node"
  mkdir -p "$CACHE/node"
  echo '{"private": true}' > "$CACHE/node/package.json"
  # npm too: the distribution's runs only with the distribution's Node.
  npm install --prefix "$CACHE/node" --no-audit --no-fund --no-save node@22 npm@11 ||
    missing "npm could not install node@22"
  PATH="$CACHE/node/node_modules/.bin:$PATH"
  hash -r
  node_new_enough || missing "node@22 is installed in .cache/node but does not run"
}

setup_npm() {
  local input
  input=$({ node -v; cat package-lock.json package.json client-wasm/package.json web-demo/package.json tests/*/package.json; } 2>/dev/null | sha256sum | cut -d' ' -f1)
  if [ -d node_modules ] && stamped npm "$input"; then return; fi
  say "npm modules"
  npm ci --no-audit --no-fund || fail "npm ci failed"
  stamp npm "$input"
}

# The browser of the tests, in RINGFENCE_CHROMIUM: the package's, or the binary that an npm package carries where the
# distribution has none. A snap does not see /tmp, where the tests' profiles and files are.
setup_browser() {
  local name
  for name in chromium google-chrome-stable; do
    if RINGFENCE_CHROMIUM=$(command -v "$name") && [[ $RINGFENCE_CHROMIUM != /snap/* ]]; then
      export RINGFENCE_CHROMIUM
      return
    fi
  done
  export RINGFENCE_CHROMIUM="$CACHE/browser/chromium"
  if [ ! -x "$RINGFENCE_CHROMIUM" ]; then
    say "Chromium from npm into .cache/browser"
    setup_browser_from_npm || missing "no Chromium for the browser tests: install one as 'chromium' in PATH"
  fi
}

setup_browser_from_npm() {
  mkdir -p "$CACHE/browser"
  echo '{"private": true, "type": "module"}' > "$CACHE/browser/package.json"
  npm install --prefix "$CACHE/browser" --no-audit --no-fund --no-save @sparticuz/chromium || return 1
  PACKAGES_BROWSER="libnss3 libnspr4 libgbm1 libxkbcommon0 fonts-dejavu-core" COMMANDS_BROWSER="" setup_packages BROWSER
  (cd "$CACHE/browser" && node -e '
    import("@sparticuz/chromium").then(async ({ default: chromium }) => {
      const { symlinkSync } = await import("node:fs");
      symlinkSync(await chromium.executablePath(), "chromium");
    })') && "$CACHE/browser/chromium" --version
}
