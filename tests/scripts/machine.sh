#!/usr/bin/env bash
# Builds the bare-metal appliance and runs it in QEMU, in a home behind a NAT of the running kernel,
# beside the command's own processes. Everything happens in network namespaces that end with the test.
set -eu
. tests/scripts/packages.sh

need_packages qemu-system-arm dnsmasq-base tcpdump nftables iproute2 conntrack

unshare --net true || {
    echo "no network namespace can be made here: this stage needs root and a kernel that allows it"
    exit 1
}
# The one without IPv6 last: it has the name.
adapters/firmware/build --features proto-ipv6
adapters/firmware/build
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export GENKAN_FIRMWARE=$target_dir/firmware/thumbv7m-none-eabi/release/genkan-firmware
export GENKAN_FIRMWARE_IPV6=$GENKAN_FIRMWARE-ipv6
# The one in C.
adapters/c/example/build
export GENKAN_C_EXAMPLE=$target_dir/c-example/appliance.elf
# As in kernel.sh: nothing may be left when somebody on the way is killed.
with_parent=(setpriv --pdeathsig KILL)
runner="target.'cfg(unix)'.runner = ['setpriv', '--pdeathsig', 'KILL']"
"${with_parent[@]}" cargo build "$@" -p genkan
# They mostly wait; but an emulated handshake that is slow by contention looks like loss.
"${with_parent[@]}" cargo test "$@" --config "$runner" -p genkan-firmware-tests \
    --features machine -- --test-threads 8
