#!/usr/bin/env bash
# Sends the same packets through NATs of the running kernel and through the simulated ones, and
# compares what comes out; and has the command's own processes meet behind NATs. Everything happens
# in network namespaces that end with the test.
set -eu
. tests/scripts/packages.sh

need_packages nftables iproute2 conntrack miniupnpd-nftables

unshare --net true || {
    echo "no network namespace can be made here: this stage needs root and a kernel that allows it"
    exit 1
}
# Nothing may be left when somebody on the way is killed, however hard: cargo dies with whoever has
# started this script, the tests die with cargo, and the namespaces last as long as the tests.
with_parent=(setpriv --pdeathsig KILL)
runner="target.'cfg(unix)'.runner = ['setpriv', '--pdeathsig', 'KILL']"
# Each scenario adds a line with its number of steps.
GENKAN_KERNEL_SCENARIOS=$(mktemp)
export GENKAN_KERNEL_SCENARIOS
trap 'rm -f "$GENKAN_KERNEL_SCENARIOS"' EXIT
# What the tests start as processes.
"${with_parent[@]}" cargo build "$@" -p genkan
# The tests mostly wait: all of them at once, whatever the number of cores.
"${with_parent[@]}" cargo test "$@" --config "$runner" -p genkan-kernel-tests \
    --features namespaces -- --test-threads 64
awk '{ steps += $1 } END { print NR " scenarios with " steps " steps" }' "$GENKAN_KERNEL_SCENARIOS"
