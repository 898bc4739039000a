# Short names for the commands of CONTRIBUTING.md; each recipe is one of them, and `just` lists all.
# https://just.systems: `cargo install just`

# List the recipes.
default:
    @just --list --unsorted

# Serve on an empty private database.
run *args:
    cargo run -- serve {{ args }}

# Load a small company, activate its campaign and keep serving.
demo:
    cargo run --release -- demo

# Run every test, from nothing.
test:
    ./test

# Run the API tests whose names contain a text: `just test-api campaign_statuses`.
test-api name:
    cargo test --locked --test api {{ name }}

# Check lints, layers between modules, unused dependencies and the OpenAPI document.
lint:
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo xtask check-layers
    .ci/unused-dependencies
    .ci/lint-openapi

# Format the code.
format:
    cargo fmt --all

# Measure quotes in the process.
bench:
    cargo bench

# Build the documentation of the code; a broken link is an error.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

# Write the files that are printed from the code: openapi/*.json and docs/errors.md.
openapi:
    cargo xtask openapi

# Check licences, sources and known vulnerabilities of the dependencies.
deny:
    .ci/deny

# Run everything that must hold before a change lands.
ci:
    .ci/run
