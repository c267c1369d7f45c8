# ./dev bench [name [option...]]: tests/bench/<name>.mjs; without a name all of them, one after the other.
names=(ingest append retain views projection size soak frames fanout channels events cache monitor scrape cluster)
if [ $# -gt 0 ]; then
  [ -e "tests/bench/$1.mjs" ] || { echo "dev: no benchmark '$1'; there are: ${names[*]}" >&2; exit 2; }
  names=("$1")
  shift
fi

setup_packages BUILD
setup_node
setup_npm
build_native
build_wasm core
build_client

status=0
for name in "${names[@]}"; do
  case "$name" in fanout | cluster) setup_packages PEERS ;; esac
  [ "$name" != frames ] || setup_browser
  say "bench: $name"
  node --expose-gc "tests/bench/$name.mjs" "$@" || status=1
done
exit $status
