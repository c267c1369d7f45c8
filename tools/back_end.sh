# The example of examples/back_end: built with libnats-dev alone, and run between a broker and a server.

# back_end_speaks: 0 if it is answered, and its answer to a client's message is published.
back_end_speaks() {
  local build="$CACHE/back_end" log="$LOGS/back_end.log" dir said="$LOGS/back_end-said.txt" status=0
  { cmake -S examples/back_end -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release && cmake --build "$build"; } > "$log" 2>&1 ||
    { tail -n 60 "$log"; echo "whole output: $log"; return 1; }
  dir=$(mktemp -d)
  local nats_server
  nats_server=$(PATH="$PATH:/usr/sbin" command -v nats-server) || { echo "nats-server is missing"; return 1; }
  "$nats_server" -a 127.0.0.1 -p -1 --ports_file_dir "$dir" > "$LOGS/back_end-broker.txt" 2>&1 &
  local broker=$! server=0 back_end=0
  back_end_run || status=1
  exec 9>&- || true
  [ $back_end -eq 0 ] || wait $back_end || { echo "the example ended with status $?"; status=1; }
  [ $server -eq 0 ] || { kill -TERM $server; wait $server || { echo "the server ended with status $?"; status=1; }; }
  kill -TERM $broker
  wait $broker || true
  rm -rf "$dir"
  return $status
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

# Uses the variables of back_end_speaks.
back_end_run() {
  local tries url="" http="$LOGS/back_end-http.txt"
  for tries in $(seq 300); do
    url=$(grep -oh 'nats://127.0.0.1:[0-9]*' "$dir"/*.ports 2> /dev/null | head -n 1) || true
    [ -z "$url" ] || break
    sleep 0.1
  done
  [ -n "$url" ] || { echo "the broker did not start"; return 1; }
  build/release/ringfence-server --port 0 --nats "$url" --nats-mode core > "$http" 2> "$LOGS/back_end-server.txt" &
  server=$!
  wait_for_line "$http" '^http://' || return 1
  rm -f "$dir/stdin" && mkfifo "$dir/stdin"
  NATS_URL="$url" "$build/back_end" < "$dir/stdin" > "$said" 2>&1 &
  back_end=$!
  exec 9> "$dir/stdin"
  wait_for_line "$said" '^published: {"channel":"room:1","seq":1}' || return 1
  echo '{"text":"look"}' | timeout 60 build/release/ringfence-server pipe --channel room:1 --type command \
    --url "ws://127.0.0.1:$(sed -n 's|^http://.*:\([0-9]*\)$|\1|p' "$http")/v1/ws" || return 1
  wait_for_line "$said" '"channel":"room:1","seq":2,"type":"command","data":{"text":"look"}' || return 1
  local port tries
  port=$(sed -n 's|^http://.*:\([0-9]*\)$|\1|p' "$http")
  for tries in $(seq 300); do
    ! node -e 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)' \
      "http://127.0.0.1:$port/v1/history?channel=room:1" | grep -q 'You see a ring' || return 0
    sleep 0.1
  done
  echo "the answer was not published"
  return 1
}
