# ./dev docs: the reference of the npm package, by TypeDoc from the doc comments, in client-wasm/docs. A warning is an error.
setup_packages BUILD
setup_node
setup_npm
npm run docs --silent -w ringfence || fail "the reference of the npm package could not be made"
echo "client-wasm/docs/index.html"
