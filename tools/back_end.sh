# The examples of a back end over NATS, each run between a broker and a server: the C++ one built with libnats-dev alone, the
# JavaScript one, and the lines for bash of shared/protocol.md.

# back_ends_speak: 0 if each is answered, and what it publishes is in the channel's history.
back_ends_speak() {
  local build="$CACHE/back_end" log="$LOGS/back_end.log" dir nats_server status=0
  { cmake -S examples/back_end -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release && cmake --build "$build"; } > "$log" 2>&1 ||
    { tail -n 60 "$log"; echo "whole output: $log"; return 1; }
  dir=$(mktemp -d)
  nats_server=$(PATH="$PATH:/usr/sbin" command -v nats-server) || { echo "nats-server is missing"; return 1; }
  "$nats_server" -a 127.0.0.1 -p -1 --ports_file_dir "$dir" > "$LOGS/back_end-broker.txt" 2>&1 &
  local broker=$! url
  url=$(url_of_broker "$dir") || { echo "the broker did not start"; status=1; }
  [ $status -ne 0 ] || with_server in_bash || status=1
  [ $status -ne 0 ] || with_server answers_commands "$build/back_end" || status=1
  [ $status -ne 0 ] || with_server answers_commands node examples/back_end/back_end.mjs || status=1
  kill -TERM $broker
  wait $broker || true
  rm -rf "$dir"
  return $status
}

# with_server command...: runs it while a server of its own is on the broker. What is named here it sees too: url, http, page.
with_server() {
  local http="$LOGS/back_end-http.txt" page server ended=0
  build/release/ringfence-server --port 0 --nats "$url" --nats-mode core > "$http" 2> "$LOGS/back_end-server.txt" &
  server=$!
  if wait_for_line "$http" '^http://'; then
    page=$(sed -n 's|^\(http://.*:[0-9]*\)$|\1|p' "$http")
    "$@" || { echo "failed: $*"; ended=1; }
  else
    ended=1
  fi
  kill -TERM $server
  wait $server || { echo "the server ended with status $?"; ended=1; }
  return $ended
}

in_bash() {
  local lines
  lines=$(awk '/^Without any client, in bash:/ { found = 1 } found && /^```/ { if (inside) exit; inside = 1; next } inside' \
    shared/protocol.md)
  bash -c "${lines//4222/${url##*:}}" > "$LOGS/back_end-said.txt" 2>&1 && in_history hello
}

# answers_commands command...
answers_commands() {
  local said="$LOGS/back_end-said.txt" back_end ended=0
  rm -f "$dir/stdin" && mkfifo "$dir/stdin"
  NATS_URL="$url" "$@" < "$dir/stdin" > "$said" 2>&1 &
  back_end=$!
  exec 9> "$dir/stdin"
  { wait_for_line "$said" '^published: {"channel":"room:1","seq":1}' &&
    echo '{"text":"look"}' | timeout 60 build/release/ringfence-server pipe --channel room:1 --type command \
      --url "ws${page#http}/v1/ws" &&
    wait_for_line "$said" '"channel":"room:1","seq":2,"type":"command","data":{"text":"look"}' &&
    in_history 'You see a ring'; } || ended=1
  exec 9>&-
  wait $back_end || { echo "it ended with status $?"; ended=1; }
  return $ended
}

# in_history text: 0 once it is in the channel room:1.
in_history() {
  local tries
  for tries in $(seq 300); do
    ! node -e 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)' \
      "$page/v1/history?channel=room:1" | grep -q "$1" || return 0
    sleep 0.1
  done
  echo "'$1' was not published"
  return 1
}

url_of_broker() {
  local tries
  for tries in $(seq 300); do
    ! grep -oh 'nats://127.0.0.1:[0-9]*' "$1"/*.ports 2> /dev/null | head -n 1 | grep . || return 0
    sleep 0.1
  done
  return 1
}

# wait_for_line file pattern
wait_for_line() {
  local tries
  for tries in $(seq 300); do
    ! grep -q -- "$2" "$1" 2> /dev/null || return 0
    sleep 0.1
  done
  echo "no line '$2' in $1:"
  cat "$1"
  return 1
}
