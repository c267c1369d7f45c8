# Builds. CMake and Ninja know what is up to date; npm's outputs are stamped with a hash of their input.

configure() { # configure preset [option...]
  [ -f "build/$1/build.ninja" ] && [ $# -eq 1 ] || cmake --preset "$@" > "$LOGS/cmake-$1.log" 2>&1 ||
    { cat "$LOGS/cmake-$1.log" >&2; fail "cmake --preset $1 failed"; }
}

# compile preset [target...]
compile() {
  local preset=$1
  shift
  say "build: $preset"
  cmake --build "build/$preset" -j "$(jobs_max)" ${1:+--target "$@"} || fail "the build of preset $preset failed"
}

build_native() { # [target...]
  configure release
  compile release "$@"
}

build_wasm() { # [target...]
  local options=()
  setup_wasm_catch2
  [ -z "${CATCH2_SOURCE:-}" ] || options=("-DRINGFENCE_CATCH2_SOURCE=$CATCH2_SOURCE")
  configure wasm "${options[@]}"
  compile wasm "$@"
}

# Catch2 3 is packaged as a library for the host only; for WASM it is compiled from the package's source.
setup_wasm_catch2() {
  [ ! -e /usr/include/catch2/catch.hpp ] || return 0
  CATCH2_SOURCE=$(dirname "$(find "$CACHE/catch2" -name catch_amalgamated.cpp 2>/dev/null | head -n 1)")
  [ "$CATCH2_SOURCE" = . ] || return 0
  supported || missing "catch_amalgamated.cpp of Catch2 3 is missing: put it into .cache/catch2"
  say "source of Catch2"
  local apt="$CACHE/apt"
  mkdir -p "$apt/sources" "$apt/lists/partial" "$CACHE/catch2"
  # The machine's own package sources, asked for source packages too; the machine's settings stay as they are.
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -e "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" > "$apt/sources/$(basename "$file")"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -e "$file" ] || sed -n 's/^deb /deb-src /p' "$file" > "$apt/sources/$(basename "$file" .list).list"
  done
  local options=(-o "Dir::Etc::SourceParts=$apt/sources" -o Dir::Etc::SourceList=/dev/null
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root)
  # Some repositories have no sources: what matters is whether this one package's are found.
  apt-get "${options[@]}" update -q || true
  (cd "$CACHE/catch2" && apt-get "${options[@]}" source -q --download-only catch2 &&
    tar -xf catch2_*.orig.tar.*) || missing "the source package catch2 is not reached"
  CATCH2_SOURCE=$(dirname "$(find "$CACHE/catch2" -name catch_amalgamated.cpp | head -n 1)")
}

build_client() {
  local input
  input=$({ digest client-wasm build/wasm/client-wasm/core.wasm; cat package-lock.json; } | sha256sum | cut -d' ' -f1)
  if [ -e client-wasm/dist/index.js ] && stamped client "$input"; then return; fi
  say "build: npm package"
  npm run build --silent -w ringfence || fail "the build of the npm package failed"
  stamp client "$input"
}

build_demo_page() {
  local input
  input=$({ digest web-demo; find client-wasm/dist -type f -print0 | sort -z | xargs -0 sha256sum; cat package-lock.json; } | sha256sum | cut -d' ' -f1)
  if [ -e web-demo/dist/index.html ] && stamped demo "$input"; then return; fi
  say "build: demo page"
  npm run build --silent -w web-demo || fail "the build of the demo page failed"
  stamp demo "$input"
}
