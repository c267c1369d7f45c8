# ./dev build: the server binary, the npm package and the demo page, without any test.
setup_packages BUILD
setup_node
setup_npm
build_native ringfence-server
build_wasm core
build_client
build_demo_page
echo
ls -l build/release/ringfence-server client-wasm/dist/core.wasm
