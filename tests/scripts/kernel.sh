#!/usr/bin/env bash
# Sends the same packets through NATs of the running kernel and through the simulated ones, and
# compares what comes out. Everything happens in network namespaces that end with the test.
set -eu
. tests/scripts/packages.sh

need_packages nftables iproute2 conntrack

unshare --net true || {
    echo "no network namespace can be made here: this stage needs root and a kernel that allows it"
    exit 1
}
# The tests mostly wait: all of them at once, whatever the number of cores.
exec cargo test "$@" -p genkan-kernel-tests --features namespaces -- --test-threads 64
