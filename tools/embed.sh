# The example of examples/embed: built against an installed prefix and nothing of this tree, run, spoken to, stopped.

# embed_installed: 0 if it did what its first lines say.
embed_installed() {
  local prefix="$CACHE/prefix" build="$CACHE/embed" log="$LOGS/embed.log"
  rm -rf "$prefix" "$build"
  { cmake --install build/release --prefix "$prefix" &&
    cmake -S examples/embed -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" &&
    cmake --build "$build"; } > "$log" 2>&1 || { tail -n 60 "$log"; echo "whole output: $log"; return 1; }
  embed_speaks "$build/embed" "$prefix/bin/ringfence-server"
}

# embed_speaks example server: the example answers what is published to it, and ends well when told to.
embed_speaks() {
  local said="$LOGS/embed-said.txt" port="" pid status=0 tries
  PORT=0 "$1" > "$said" 2> "$LOGS/embed-stderr.txt" &
  pid=$!
  for tries in $(seq 300); do
    port=$(sed -n 's|^http://.*:\([0-9]*\)$|\1|p' "$said")
    [ -z "$port" ] || break
    sleep 0.1
  done
  echo '{"text":"hello"}' | timeout 60 "$2" pipe --url "ws://127.0.0.1:$port/v1/ws" --channel room:1 \
    --type chat_message || status=1
  for tries in $(seq 300); do
    ! grep -q '^room:1: {"text":"hello"}$' "$said" || break
    sleep 0.1
  done
  grep -q '^room:1: {"text":"hello"}$' "$said" || { echo "the handler was not called; it said:"; cat "$said"; status=1; }
  kill -TERM $pid
  wait $pid || { echo "the example ended with status $?"; status=1; }
  return $status
}
