# What the commands share: messages, stamps and the counting of results.

ROOT=$PWD
CACHE=$ROOT/.cache
LOGS=$CACHE/logs
mkdir -p "$CACHE/stamps" "$LOGS"

say() { printf '\n== %s\n' "$*"; }
fail() { echo "dev: $*" >&2; exit 1; }
missing() { echo "dev: $*" >&2; exit 2; }

# jobs: parallel compilers, one for each core but no more than one for each 1.5 GiB of memory.
jobs_max() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemTotal/ {print int($2 / 1572864)}' /proc/meminfo)
  [ "$memory" -ge 1 ] || memory=1
  echo $((cores < memory ? cores : memory))
}

# digest path...: one hash over the names and the content of all files below, without what is built or installed.
digest() {
  find "$@" \( -name node_modules -o -name dist -o -name build \) -prune -o -type f -print0 2>/dev/null |
    sort -z | xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1
}

# stamped name digest: did this step end well with the same input? stamp name digest: it did now.
stamped() { [ "$(cat "$CACHE/stamps/$1" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" > "$CACHE/stamps/$1"; }

# Results of a whole run. A runner that ran nothing counts as one failure.
PASSED=0
FAILED=0
FAILURES=()

count() { # count name passed failed
  PASSED=$((PASSED + $2))
  FAILED=$((FAILED + $3))
  printf '%-28s %5d passed, %d failed\n' "$1" "$2" "$3"
  [ "$3" -eq 0 ] || FAILURES+=("$1")
}

finish() { # the closing line, and the status that goes with it
  echo
  [ ${#FAILURES[@]} -eq 0 ] || echo "failed: ${FAILURES[*]}"
  echo "$PASSED passed, $FAILED failed"
  [ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

# step name command...: one check that passes or fails as a whole; its output is shown.
step() {
  local name=$1 status=0 started=$SECONDS
  shift
  say "$name"
  "$@" || status=1
  count "$name" $((1 - status)) $status
  echo "($((SECONDS - started)) s)"
}

# start_ctest preset: begins with all test programs of a preset. Most of them wait most of the time, so other tests may run beside.
CTESTS=()
start_ctest() {
  local preset=$1 prefix=()
  # ThreadSanitizer of older compilers cannot run with as much address randomisation as newer kernels use.
  if [ "$preset" = tsan ] && setarch -R true 2>/dev/null; then prefix=(setarch -R); fi
  "${prefix[@]}" ctest --test-dir "build/$preset" -V -j "$(nproc)" > "$LOGS/ctest-$preset.log" 2>&1 &
  CTESTS+=($!)
  trap 'kill "${CTESTS[@]}" 2>/dev/null || true' EXIT
}

# end_ctest preset: waits for them. Counted by test case.
end_ctest() {
  local preset=$1 log="$LOGS/ctest-$1.log"
  say "tests: $preset"
  wait "${CTESTS[@]}" || true
  CTESTS=()
  local totals
  totals=$(awk '
    match($0, /^[0-9]+: test cases: [0-9]+ passed, [0-9]+ failed/) {
      split(substr($0, RSTART, RLENGTH), f, /[^0-9]+/); p[f[1]] = f[2]; x[f[1]] = f[3]; next }
    match($0, /Test +#[0-9]+: /) {
      split(substr($0, RSTART, RLENGTH), f, /[^0-9]+/); k = f[2]; seen++
      passed += p[k]; failed += x[k]
      if (($0 !~ / Passed +[0-9.]+ sec/ && !x[k]) || !(k in p)) failed++ }
    END { if (!seen) failed++; print passed + 0, failed + 0 }' "$log")
  local passed=${totals% *} failed=${totals#* }
  if [ "$failed" -ne 0 ]; then
    grep -aE '^[0-9]+: |Test +#' "$log" | tail -n 150
    echo "whole output: $log"
  fi
  count "ctest $preset" "$passed" "$failed"
}

run_ctest() { start_ctest "$1"; end_ctest "$1"; }

# run_vitest folder: the tests of one npm workspace.
run_vitest() {
  local folder=$1 name=${1//\//-} status=0
  local json="$LOGS/vitest-$name.json"
  say "tests: $folder"
  rm -f "$json"
  timeout 600 npm test --silent -w "$folder" -- --reporter=default --reporter=json --outputFile.json="$json" || status=$?
  [ $status -ne 124 ] || echo "$folder: stopped after 600 s, before it could say what passed"
  local totals
  totals=$(node -e '
    const [file, status] = process.argv.slice(1);
    let passed = 0, failed = 0;
    try {
      const r = JSON.parse(require("fs").readFileSync(file, "utf8"));
      passed = r.numPassedTests; failed = r.numFailedTests;
      if (!failed && !r.success) failed = Math.max(1, r.numFailedTestSuites);
    } catch { failed = 1; }
    if (passed + failed === 0 || (status !== "0" && !failed)) failed += 1;
    console.log(passed, failed);' "$json" "$status")
  count "$folder" "${totals% *}" "${totals#* }"
}

# run_fixtures: the package as users install it, in the apps of tests/fixtures. Its last line has the count.
run_fixtures() {
  local log="$LOGS/fixtures.log" totals status=0
  say "tests: fixtures"
  timeout 900 node tests/fixtures/run.mjs 2>&1 | tee "$log" || status=$?
  totals=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
  [ -n "$totals" ] || totals="0 1"
  [ $status -eq 0 ] || [ "${totals#* }" -gt 0 ] || totals="${totals% *} 1"
  count fixtures "${totals% *}" "${totals#* }"
}

# Own code, for the formatters.
cpp_files() { find shared server client-wasm tests examples \( -name node_modules -o -name dist \) -prune -o \( -name '*.h' -o -name '*.cpp' \) -type f -print0; }
PRETTIER_FILES=("client-wasm/**/*.{ts,tsx,mjs,json}" "web-demo/**/*.{ts,tsx,mjs,css,html,json}" "tests/**/*.{ts,tsx,mjs}" "*.json")
