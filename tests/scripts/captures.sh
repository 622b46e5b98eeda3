#!/usr/bin/env bash
# What a simulated run leaves behind as captures, read with tshark and the dissector in
# adapters/wireshark: it must say of each message what the simulator's transcript says.
set -u
. tests/scripts/packages.sh

folder=${CARGO_TARGET_DIR:-target}/captures
dissector=adapters/wireshark/genkan.lua
failures=0

fail() {
    echo "captures: $1"
    failures=$((failures + 1))
}

# Reads the capture $1 into $folder/tshark.out; the rest goes to tshark. Fails, with nothing read, when
# tshark says that it could not. What it says of running as root is of no interest.
read_capture() {
    local capture=$1 status
    shift
    tshark -X "lua_script:$dissector" -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE \
        -o tcp.check_checksum:TRUE -r "$folder/$capture.pcapng" "$@" \
        >"$folder/tshark.out" 2>"$folder/tshark.log"
    status=$?
    # Errors in the dissector are told there, and do not change tshark's exit status.
    if ((status != 0)) || grep -qiE 'lua.*error|error.*lua|\.lua:[0-9]+' "$folder/tshark.log"; then
        : >"$folder/tshark.out"
        fail "$capture: tshark $* ended with status $status: $(cat "$folder/tshark.log")"
        return 1
    fi
}

# count CAPTURE FILTER: $found becomes the number of packets that match.
count() {
    found=0
    read_capture "$1" -Y "$2" && found=$(wc -l <"$folder/tshark.out")
}

# none CAPTURE FILTER WHAT: fails with the packets when there is one.
none() {
    count "$1" "$2" || return
    ((found == 0)) || fail "$1: $3: $(cat "$folder/tshark.out")"
}

# some CAPTURE FILTER WHAT: fails when no packet matches.
some() {
    count "$1" "$2" || return
    ((found > 0)) || fail "$1: $3"
}

# must_fail CHECK...: fails when the check passes.
must_fail() {
    (
        failures=0
        "$@" >/dev/null
        ((failures > 0))
    ) || fail "this check cannot fail: $*"
}

# Each Genkan message as `in KIND LENGTH` or `out KIND LENGTH`, sorted, into the file $2. What ICMP
# quotes is none.
messages() {
    read_capture "$1" -Y 'genkan && !icmp' -T fields -E occurrence=a -E aggregator=, \
        -e frame.packet_flags_direction -e genkan.kind -e genkan.length || return
    awk '{ n = split($2, kinds, ","); split($3, lengths, ",")
           for (i = 1; i <= n; i++) print ($1 == 1 ? "in" : "out"), kinds[i], lengths[i] }' \
        "$folder/tshark.out" | LC_ALL=C sort >"$2"
}

# Checksums of a packet's own layers: what ICMP quotes is cut off, and not checked.
wrong_checksum='icmp && !(icmp.checksum.status == "Good")'
for layer in ip udp tcp; do
    wrong_checksum+=" || $layer && !icmp && !($layer.checksum.status == \"Good\")"
done

need_packages tshark libxml2-utils || exit 1
mkdir -p "$folder"
rm -f "$folder"/*.pcapng "$folder"/*.expected "$folder"/*.seen
cargo run --profile ci -p genkan-sim --example capture -- "$folder" || exit 1

for capture in all server lamp phone; do
    none "$capture" '_ws.malformed || _ws.expert.severity == "Error" || _ws.lua.error' "an error"
    none "$capture" 'genkan && _ws.expert.severity == "Warning" && !tcp.analysis.flags' "a warning"
    none "$capture" "$wrong_checksum" "a checksum is not right"
done

for host in server lamp phone; do
    # In a lossless run at one interface there is nothing for the analysis to find.
    none "$host" tcp.analysis.flags "TCP's analysis finds something"
    [[ -s $folder/$host.expected ]] || fail "$host: the transcript has no messages"
    messages "$host" "$folder/$host.seen" || continue
    difference=$(diff "$folder/$host.expected" "$folder/$host.seen")
    [[ -z $difference ]] || fail "$host: transcript (<) and capture (>) differ: $difference"
done

# Every kind has its name, and more fields than that. Nobody punches holes in this run.
read_capture all -Y genkan -V
names=$(sed -n 's/^    Kind: \(.*\) (0x.*/\1/p' "$folder/tshark.out" | sort -u)
kinds=$(sed -n 's/^    \([A-Z][A-Za-z]*\) = [0-9]*, [01];$/\1/p' core/src/wire/mod.rs |
    grep -vE '^(Detect|FilterProbe|IssuerPunch|AcceptorPunch)$' | sort -u)
[[ -n $kinds && $names == "$kinds" ]] || fail "names shown: $names; kinds in the code: $kinds"
some server 'genkan.certificate.names == "server.example" && genkan.certificate.serial == 1' \
    "the certificate is not taken apart"
some server 'genkan.early == 1' "the request in a first message is not seen"
some server 'tcp.segments && genkan' "no frame is put together from several segments"
some phone 'genkan.kind == 0x69 && !(tcp.port == 4600)' "the dial-back is not recognised"

# The lamp's datagrams cross its NAT: inside with its own address, outside with the NAT's.
count all 'udp && frame.interface_name == "nat1 inside" && ip.src == 10.0.0.0/8 && !icmp'
inside=$found
count all 'udp && frame.interface_name == "nat1 outside" && ip.src == 192.0.2.0/24 && !icmp'
outside=$found
((inside > 0 && inside == outside)) || fail "the NAT: $inside datagrams inside, $outside outside"
none all 'frame.interface_name == "nat1 outside" && ip.addr == 10.0.0.0/8' "an inner address outside"
some lamp 'icmp.type == 11 && genkan.kind == 0x44' "no ICMP error quotes the low hop limit's datagram"
none phone 'ip.src == 192.0.2.0/24 && genkan.kind == 0x44' "the low hop limit's datagram arrived"

# Damage is told.
some spoilt genkan.bad_length "a short message passes"
some spoilt genkan.unknown_kind "an unknown kind passes"
some spoilt genkan.bad_frame "a frame of impossible length passes"
some spoilt '_ws.expert.severity == "Error"' "damage is no error"

# A field that the dissector does not know, and a capture that is not there.
must_fail some server 'genkan.no_such_field == 1' "an unknown field"
must_fail none server 'genkan.no_such_field == 1' "an unknown field"
must_fail none absent frame "a missing capture"

# The picture is well-formed XML.
xmllint --noout "$folder/story.svg" || fail "story.svg is not well-formed"

echo "$(wc -l <"$folder/server.expected") messages at the server, $inside datagrams across the NAT," \
    "$failures failures"
((failures == 0))
