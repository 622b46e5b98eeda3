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

# Reads the capture $1; the rest goes to tshark. What it says of running as root is of no interest.
read_capture() {
    local capture=$1
    shift
    tshark -X "lua_script:$dissector" -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE \
        -o tcp.check_checksum:TRUE -r "$folder/$capture.pcapng" "$@" 2>"$folder/tshark.log" || {
        cat "$folder/tshark.log"
        echo "tshark failed"
    }
    # Errors in the dissector are told here, and do not change tshark's exit status.
    grep -iE 'lua.*error|error.*lua|\.lua:[0-9]+' "$folder/tshark.log"
}

# count CAPTURE FILTER: how many packets match.
count() { read_capture "$1" -Y "$2" | wc -l; }

# none CAPTURE FILTER WHAT: fails with the packets when there is one.
none() {
    local found
    found=$(read_capture "$1" -Y "$2")
    [[ -z $found ]] || fail "$1: $3: $found"
}

# some CAPTURE FILTER WHAT: fails when no packet matches.
some() { (($(count "$1" "$2") > 0)) || fail "$1: $3"; }

# Each Genkan message as `in KIND LENGTH` or `out KIND LENGTH`, sorted. What ICMP quotes is none.
messages() {
    read_capture "$1" -Y 'genkan && !icmp' -T fields -E occurrence=a -E aggregator=, \
        -e frame.packet_flags_direction -e genkan.kind -e genkan.length |
        awk '{ n = split($2, kinds, ","); split($3, lengths, ",")
               for (i = 1; i <= n; i++) print ($1 == 1 ? "in" : "out"), kinds[i], lengths[i] }' |
        LC_ALL=C sort
}

# Checksums of a packet's own layers: what ICMP quotes is cut off, and not checked.
wrong_checksum='icmp && !(icmp.checksum.status == "Good")'
for layer in ip udp tcp; do
    wrong_checksum+=" || $layer && !icmp && !($layer.checksum.status == \"Good\")"
done

need_packages tshark || exit 1
mkdir -p "$folder"
rm -f "$folder"/*.pcapng "$folder"/*.expected
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
    difference=$(messages "$host" | diff "$folder/$host.expected" -)
    [[ -z $difference ]] || fail "$host: transcript (<) and capture (>) differ: $difference"
done

# Every kind has its name, and more fields than that.
names=$(read_capture all -Y genkan -V | sed -n 's/^    Kind: \(.*\) (0x.*/\1/p' | sort -u)
kinds=$(sed -n 's/^    \([A-Z][A-Za-z]*\) = [0-9]*, [01];$/\1/p' core/src/wire/mod.rs | sort -u)
[[ -n $kinds && $names == "$kinds" ]] || fail "names shown: $names; kinds in the code: $kinds"
some server 'genkan.certificate.names == "server.example" && genkan.certificate.serial == 1' \
    "the certificate is not taken apart"
some server 'genkan.early == 1' "the request in a first message is not seen"
some server 'tcp.segments && genkan' "no frame is put together from several segments"
some phone 'genkan.kind == 0x69 && !(tcp.port == 4600)' "the dial-back is not recognised"

# The lamp's datagrams cross its NAT: inside with its own address, outside with the NAT's.
inside=$(count all 'udp && frame.interface_name == "nat1 inside" && ip.src == 10.0.0.0/8 && !icmp')
outside=$(count all 'udp && frame.interface_name == "nat1 outside" && ip.src == 192.0.2.0/24 && !icmp')
((inside > 0 && inside == outside)) || fail "the NAT: $inside datagrams inside, $outside outside"
none all 'frame.interface_name == "nat1 outside" && ip.addr == 10.0.0.0/8' "an inner address outside"
some lamp 'icmp.type == 11 && genkan.kind == 0x44' "no ICMP error quotes the low hop limit's datagram"
none phone 'ip.src == 192.0.2.0/24 && genkan.kind == 0x44' "the low hop limit's datagram arrived"

# Damage is told.
some spoilt genkan.bad_length "a short message passes"
some spoilt genkan.unknown_kind "an unknown kind passes"
some spoilt genkan.bad_frame "a frame of impossible length passes"
some spoilt '_ws.expert.severity == "Error"' "damage is no error"

# The picture is well-formed XML, when there is something to check it with.
if command -v xmllint >/dev/null; then
    xmllint --noout "$folder/story.svg" || fail "story.svg is not well-formed"
fi

echo "$(wc -l <"$folder/server.expected") messages at the server, $inside datagrams across the NAT," \
    "$failures failures"
((failures == 0))
