# ./dev demo [--port N] [--cluster]: the server with the demo page, and the feeds. Both end with this script, and it with them.
# --cluster: two servers, at N and N + 1, joined by a broker at N + 2. The page says which one it is on; it and the feeds
# go on at the other when one of them is killed.
port=8080 cluster=0
while [ $# -gt 0 ]; do
  case "$1" in
    --port) port=${2:-}; shift ;;
    --port=*) port=${1#*=} ;;
    --cluster) cluster=1 ;;
    *) echo "dev: demo takes --port N and --cluster, not '$1'" >&2; exit 2 ;;
  esac
  shift
done
[[ "$port" =~ ^[0-9]{1,5}$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] ||
  { echo "dev: --port takes 1 to 65535, not '$port'" >&2; exit 2; }
port=$((10#$port))
port_taken() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
ports=("$port")
[ $cluster -eq 0 ] || ports=("$port" $((port + 1)) $((port + 2)))
for one in "${ports[@]}"; do
  ! port_taken "$one" || fail "port $one is in use: choose another with ./dev demo --port N"
done

setup_packages BUILD
[ $cluster -eq 0 ] || setup_packages CLUSTER
setup_node
setup_npm
build_native ringfence-server
build_wasm core
build_client
build_demo_page

server=0 other=0 broker=0 feeds=0 stopping=0 store=
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
  stop_child "$other"
  stop_child "$broker"
  [ -z "$store" ] || rm -rf "$store"
}
wait_for_port() { # port pid
  until port_taken "$1"; do
    kill -0 "$2" 2> /dev/null || { wait "$2" || exit 1; exit 1; }
    [ $stopping -eq 0 ] || exit 0
    sleep 0.05
  done
}
trap 'stopping=1' INT TERM HUP
trap stop_all EXIT

joined=() urls="ws://127.0.0.1:$port/v1/ws" query=
if [ $cluster -ne 0 ]; then
  store=$(mktemp -d)
  start nats-server -a 127.0.0.1 -p "${ports[2]}" -js -sd "$store" -l "$store/log"
  broker=$!
  wait_for_port "${ports[2]}" "$broker"
  joined=(--nats "nats://127.0.0.1:${ports[2]}" --nats-storage memory)
  for one in "${ports[@]:0:2}"; do
    joined+=(--allow-origin "http://127.0.0.1:$one" --allow-origin "http://localhost:$one")
  done
  urls+=",ws://127.0.0.1:${ports[1]}/v1/ws"
  query="/?nodes=127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}"
fi
# The feeds publish without an API key, up to 10,000 events a second.
serve() { # port
  start build/release/ringfence-server --port "$1" --static web-demo/dist --log-channel log \
    --inbound-messages 100000 --inbound-window-s 1 "${joined[@]}"
}
serve "$port"
server=$!
wait_for_port "$port" "$server"
if [ $cluster -ne 0 ]; then
  serve "${ports[1]}"
  other=$!
  wait_for_port "${ports[1]}" "$other"
fi
start node web-demo/feeds/main.mjs --url "$urls"
feeds=$!
printf '\nRingfence demo: http://127.0.0.1:%s%s  (Ctrl-C ends it)\n' "$port" "$query"
[ $cluster -eq 0 ] || printf 'Kill one of them, and the page goes on at the other:  kill %s   or   kill %s\n' "$server" "$other"

alive() { [ "$1" -ne 0 ] && kill -0 "$1" 2> /dev/null; }
while [ $stopping -eq 0 ]; do
  children=("$feeds")
  for one in "$server" "$other" "$broker"; do if alive "$one"; then children+=("$one"); fi; done
  wait -n "${children[@]}" || true
  [ $stopping -eq 0 ] || break
  alive "$server" || alive "$other" || fail "the server ended by itself"
  alive "$feeds" || fail "the feeds ended by themselves"
  [ $cluster -eq 0 ] || alive "$broker" || fail "the broker ended by itself"
done
echo "stopping"
