# ./dev fmt: own code in place, with the formatters that package-lock.json pins.
setup_packages BUILD
setup_node
setup_npm
cpp_files | xargs -0 -r npx --no-install clang-format -i
npx --no-install prettier --log-level warn --write "${PRETTIER_FILES[@]}"
