# shellcheck shell=bash
# Sourced by what builds for bare metal: Debian's toolchain, which brings the sources of `core` with it,
# one target directory and one set of flags, so that nothing is built twice.
. tests/scripts/packages.sh

firmware_targets=(thumbv7em-none-eabi thumbv7m-none-eabi thumbv6m-none-eabi riscv32imac-unknown-none-elf)
msrv=$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' Cargo.toml)
need_packages "rustc-web>=$msrv" "cargo-web>=$msrv" "rust-web-src>=$msrv" "rust-web-clippy>=$msrv" \
    rust-web-llvm lld-22

# A folder of its own: two compilers in one would rebuild each other's work.
firmware_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")/nostd

# In benches/size, or in `firmware_crate`: their profile is a firmware's. `core` is built from source, and
# neither `alloc` nor `std` is in reach. Built, or what `firmware_verb` says.
firmware_build() {
    local target flags=()
    for target in "${firmware_targets[@]}"; do flags+=(--target "$target"); done
    echo "$*"
    (
        cd "${firmware_crate:-benches/size}" || exit 1
        # Its Clippy, too.
        export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
        export RUSTFLAGS='-C linker=rust-lld -C link-arg=-Tlink.x -C link-arg=--emit-relocs
            -C link-arg=--gc-sections --cfg sha2_backend="soft" --cfg sha2_backend_soft="compact"'
        /usr/bin/cargo "${firmware_verb:-build}" --locked --release -Zbuild-std=core --target-dir "$firmware_dir" \
            "${flags[@]}" "$@"
    )
}
