#!/usr/bin/env bash
# Builds what firmware links, for three bare-metal targets, with `core` built from source and with
# neither `alloc` nor `std` in reach: code that needs either does not compile here.
# Debian's toolchain is used because it brings the sources of `core` with it.
set -eu
. tests/scripts/packages.sh

targets=(thumbv7em-none-eabi thumbv6m-none-eabi riscv32imac-unknown-none-elf)
msrv=$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' Cargo.toml)

need_packages "rustc-web>=$msrv" "cargo-web>=$msrv" "rust-web-src>=$msrv" rust-web-llvm lld-22

export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
# A folder of its own: two compilers in one would rebuild each other's work.
target_dir=${CARGO_TARGET_DIR:-target}/nostd

build() {
    local target flags=()
    for target in "${targets[@]}"; do flags+=(--target "$target"); done
    echo "$*"
    /usr/bin/cargo build --release -Zbuild-std=core --target-dir "$target_dir" "${flags[@]}" "$@"
}
build -p genkan-core --no-default-features
build -p genkan-core --no-default-features --features defmt
build -p genkan-stream --no-default-features
build -p genkan-smoltcp --no-default-features --features medium-ethernet,proto-ipv4,streams,sizes
