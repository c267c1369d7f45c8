# ./dev test: everything is built, every test runs, the results are added up.
setup_packages BUILD TEST
setup_node
setup_npm
setup_browser

build_native
build_wasm
build_client
build_demo_page

source tools/embed.sh
source tools/back_end.sh
step "embedding" embed_installed
step "back ends over NATS" back_ends_speak
start_ctest release
run_vitest client-wasm
end_ctest release
run_ctest wasm
for folder in web-demo tests/e2e; do run_vitest "$folder"; done
run_fixtures
say "all of it took $((SECONDS / 60)) min $((SECONDS % 60)) s"
finish
