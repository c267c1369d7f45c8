# ./dev check: what the compiler and the tests of ./dev test do not see.
setup_packages BUILD CHECK
setup_node
setup_npm

clang_format() { cpp_files | xargs -0 -r npx --no-install clang-format --dry-run --Werror; }
prettier() { npx --no-install prettier --log-level warn --check "${PRETTIER_FILES[@]}"; }

# The package's types need nothing built, the demo's the built package.
typecheck() {
  local folder status=0
  for folder in client-wasm web-demo tests/e2e; do
    [ ! -e "$folder/tsconfig.json" ] || npx --no-install tsc --noEmit -p "$folder" || status=1
  done
  return $status
}

headers_alone() {
  configure release
  cmake --build build/release -j "$(jobs_max)" --target headers_alone
}

# One unit per process and core; a unit whose text, headers and settings did not change is not read again.
clang_tidy() {
  configure tidy
  mkdir -p "$CACHE/tidy"
  local settings
  settings=$({ cat .clang-tidy; clang-tidy --version; find shared server \( -name '*.h' \) -print0 | sort -z | xargs -0 cat; } | sha256sum)
  export settings CACHE
  find shared server -name '*.cpp' ! -name asio_impl.cpp -print0 | sort -z |
    xargs -0 -n 1 -P "$(jobs_max)" bash -c '
      key=$({ echo "$settings"; cat "$1"; } | sha256sum | cut -d" " -f1)
      [ ! -e "$CACHE/tidy/$key" ] || exit 0
      if clang-tidy --quiet -p build/tidy "$1" 2> "$CACHE/tidy/$key.err"; then mv "$CACHE/tidy/$key.err" "$CACHE/tidy/$key"
      else grep -a "error" "$CACHE/tidy/$key.err"; rm -f "$CACHE/tidy/$key.err"; exit 1; fi' tidy
}

# A fresh corpus each time, seeded with the vectors; a finding leaves its input in .cache/fuzz.
fuzz() {
  local corpus="$CACHE/fuzz/corpus"
  rm -rf "$CACHE/fuzz"
  mkdir -p "$corpus"
  node tools/fuzz_seeds.mjs "$corpus"
  "build/fuzz/tests/$1" -max_total_time="${2:-60}" -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$CACHE/fuzz/" "$corpus" > "$LOGS/$1.log" 2>&1 || { tail -n 40 "$LOGS/$1.log"; return 1; }
  grep -aE '^stat::(number_of_executed_units|average_exec_per_sec)' "$LOGS/$1.log"
}

step "clang-format" clang_format
step "prettier" prettier
build_wasm core
build_client
step "types" typecheck
step "headers alone" headers_alone
step "clang-tidy" clang_tidy
for preset in asan tsan; do
  configure $preset
  compile $preset
  run_ctest $preset
done
configure fuzz
compile fuzz fuzz_batch
step "fuzz_batch" fuzz fuzz_batch 60
finish
