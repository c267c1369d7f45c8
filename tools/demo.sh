# ./dev demo [--port N]: the server with the demo page, and the feeds. Both end with this script, and it with them.
port=8080
while [ $# -gt 0 ]; do
  case "$1" in
    --port) port=${2:-}; shift ;;
    --port=*) port=${1#*=} ;;
    *) echo "dev: demo takes --port N alone, not '$1'" >&2; exit 2 ;;
  esac
  shift
done
[[ "$port" =~ ^[0-9]{1,5}$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] ||
  { echo "dev: --port takes 1 to 65535, not '$port'" >&2; exit 2; }
port=$((10#$port))
port_taken() { (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; }
! port_taken || fail "port $port is in use: choose another with ./dev demo --port N"

setup_packages BUILD
setup_node
setup_npm
build_native ringfence-server
build_wasm core
build_client
build_demo_page

server=0 feeds=0 stopping=0
# In a session of its own a Ctrl-C reaches a child only through us, once; if this script is killed, so are they.
start() { setsid setpriv --pdeathsig TERM "$@" & }
stop_child() { # pid: told to stop, and after 10 s made to
  [ "$1" -ne 0 ] && kill -TERM "$1" 2> /dev/null || return 0
  local waited
  for ((waited = 0; waited < 100; waited++)); do
    kill -0 "$1" 2> /dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$1" 2> /dev/null || true
}
stop_all() {
  stop_child "$feeds"
  stop_child "$server"
}
trap 'stopping=1' INT TERM HUP
trap stop_all EXIT

# The feeds publish without an API key, up to 10,000 events a second.
start build/release/ringfence-server --port "$port" --static web-demo/dist --log-channel log \
  --inbound-messages 100000 --inbound-window-s 1
server=$!
until port_taken; do
  kill -0 "$server" 2> /dev/null || { wait "$server" || exit 1; exit 1; }
  [ $stopping -eq 0 ] || exit 0
  sleep 0.05
done
start node web-demo/feeds/main.mjs --url "ws://127.0.0.1:$port/v1/ws"
feeds=$!
printf '\nRingfence demo: http://127.0.0.1:%s  (Ctrl-C ends it)\n' "$port"

while [ $stopping -eq 0 ]; do
  wait -n "$server" "$feeds" || true
  [ $stopping -eq 0 ] || break
  kill -0 "$server" 2> /dev/null || fail "the server ended by itself"
  kill -0 "$feeds" 2> /dev/null || fail "the feeds ended by themselves"
done
echo "stopping"
