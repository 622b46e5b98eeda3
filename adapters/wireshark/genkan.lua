-- Wireshark dissector for the Genkan protocol, version 1 (core/docs/PROTOCOL.md, sections 3, 4 and 6).
--
-- Shows every message kind with all that is not encrypted, in datagrams and in TCP frames. Names and
-- lengths are those of PROTOCOL.md; a message that breaks them carries expert information. Bodies
-- stay sealed: no keys are read.

local genkan = Proto("genkan", "Genkan")

local DEFAULT_PORTS = "18251,4600" -- the command's, and that of simulated servers
local MAX_DATAGRAM = 1232
local PREFIX = 2
local TCP = 2 -- pinfo.port_type
local HIGHEST_COUNTER = UInt64(0xffffffff, 0xffff)

-- Each kind: its name, its receiver, its least and its greatest length.
local kinds = {
    [0x41] = {"CertificateRequest", "server", 210, 210},
    [0x61] = {"Certificate", "equipment", 130, 210},
    [0x42] = {"Initiation", "server", 166, 582},
    [0x62] = {"Response", "equipment", 98, 98},
    [0x63] = {"Cookie", "equipment", 50, 50},
    [0x44] = {"Keepalive", "server", 28, 28},
    [0x64] = {"KeepaliveAnswer", "equipment", 28, 28},
    [0x45] = {"Echo", "server", 34, 34},
    [0x65] = {"Challenge", "equipment", 28, 28},
    [0x66] = {"Hint", "equipment", 28, 28},
    [0x47] = {"Resume", "server", 38, 38},
    [0x67] = {"Resumed", "equipment", 38, 38},
    [0x48] = {"Transport", "server", 31, MAX_DATAGRAM},
    [0x68] = {"ServerTransport", "equipment", 31, MAX_DATAGRAM},
    [0x69] = {"Answer", "issuer", 102, 102},
    [0x4a] = {"IssuerTransport", "acceptor", 31, MAX_DATAGRAM},
    [0x6a] = {"AcceptorTransport", "issuer", 31, MAX_DATAGRAM},
    [0x4b] = {"Detect", "server", 37, 37},
    [0x6b] = {"FilterProbe", "equipment", 28, 28},
    [0x4c] = {"IssuerPunch", "acceptor", 22, 22},
    [0x6c] = {"AcceptorPunch", "issuer", 22, 22},
}
local kind_names = {}
for first, kind in pairs(kinds) do kind_names[first] = kind[1] end

local f = {
    frame_length = ProtoField.uint16("genkan.frame_length", "Frame length", base.DEC, nil, nil,
        "Length of the message that follows, 1 to 1232"),
    length = ProtoField.uint16("genkan.length", "Message length", base.DEC),
    kind = ProtoField.uint8("genkan.kind", "Kind", base.HEX, kind_names),
    version = ProtoField.uint8("genkan.version", "Version", base.DEC, nil, 0xc0),
    down = ProtoField.bool("genkan.down", "Direction", 8, {"down", "up"}, 0x20,
        "Down is server to equipment, and acceptor to issuer"),
    number = ProtoField.uint8("genkan.number", "Number", base.DEC, nil, 0x1f),
    flags = ProtoField.uint8("genkan.flags", "Flags", base.HEX),
    status = ProtoField.uint8("genkan.status", "Status", base.HEX),
    wants_answer = ProtoField.bool("genkan.status.wants_answer", "Wants answer", 8, nil, 0x01),
    unchanged = ProtoField.bool("genkan.status.unchanged", "Address unchanged", 8, nil, 0x02),
    nonce = ProtoField.bytes("genkan.nonce", "Nonce"),
    device_nonce = ProtoField.bytes("genkan.device_nonce", "Device nonce"),
    server_nonce = ProtoField.bytes("genkan.server_nonce", "Server nonce"),
    padding = ProtoField.bytes("genkan.padding", "Padding"),
    sender_index = ProtoField.uint32("genkan.sender_index", "Sender index", base.HEX),
    receiver_index = ProtoField.uint32("genkan.receiver_index", "Receiver index", base.HEX),
    acceptor_index = ProtoField.uint32("genkan.acceptor_index", "Acceptor's index", base.HEX),
    handle = ProtoField.uint32("genkan.handle", "Handle", base.HEX),
    epoch = ProtoField.uint8("genkan.epoch", "Epoch", base.DEC),
    counter = ProtoField.uint64("genkan.counter", "Counter", base.DEC),
    cookie = ProtoField.bytes("genkan.cookie", "Cookie"),
    ephemeral = ProtoField.bytes("genkan.ephemeral", "Ephemeral key"),
    static = ProtoField.bytes("genkan.static", "Encrypted static key and tag"),
    hello = ProtoField.bytes("genkan.hello", "Encrypted Hello and tag"),
    welcome = ProtoField.bytes("genkan.welcome", "Encrypted Welcome and tag"),
    accept = ProtoField.bytes("genkan.accept", "Encrypted Accept and tag"),
    sealed_cookie = ProtoField.bytes("genkan.sealed_cookie", "Encrypted cookie"),
    body = ProtoField.bytes("genkan.body", "Encrypted body"),
    body_length = ProtoField.uint16("genkan.body_length", "Body length", base.DEC),
    early = ProtoField.bool("genkan.early", "Carries a request", base.NONE, nil, nil,
        "A Hello without one is 32 bytes long"),
    mac1 = ProtoField.bytes("genkan.mac1", "mac1"),
    mac2 = ProtoField.bytes("genkan.mac2", "mac2"),
    tag = ProtoField.bytes("genkan.tag", "Tag"),
    path_tag = ProtoField.bytes("genkan.path_tag", "Path tag"),
    certificate = ProtoField.none("genkan.certificate", "Server certificate"),
    format = ProtoField.uint8("genkan.certificate.format", "Format", base.DEC),
    certificate_flags = ProtoField.uint8("genkan.certificate.flags", "Flags", base.HEX),
    serial = ProtoField.uint32("genkan.certificate.serial", "Serial", base.DEC),
    not_before = ProtoField.absolute_time("genkan.certificate.not_before", "Not before", base.UTC),
    not_after = ProtoField.absolute_time("genkan.certificate.not_after", "Not after", base.UTC),
    server_key = ProtoField.bytes("genkan.certificate.server_key", "Server key"),
    names_length = ProtoField.uint8("genkan.certificate.names_length", "Length of the names", base.DEC),
    names = ProtoField.string("genkan.certificate.names", "Names"),
    signature = ProtoField.bytes("genkan.certificate.signature", "Signature"),
    rest = ProtoField.bytes("genkan.rest", "Not understood"),
}
genkan.fields = f

local e = {
    length = ProtoExpert.new("genkan.bad_length", "The length does not fit the kind",
        expert.group.MALFORMED, expert.severity.ERROR),
    frame = ProtoExpert.new("genkan.bad_frame", "A frame of impossible length: the rest is not read",
        expert.group.MALFORMED, expert.severity.ERROR),
    kind = ProtoExpert.new("genkan.unknown_kind", "Not a message of version 1",
        expert.group.UNDECODED, expert.severity.WARN),
    padding = ProtoExpert.new("genkan.bad_padding", "Padding that is not zero",
        expert.group.MALFORMED, expert.severity.ERROR),
    status = ProtoExpert.new("genkan.bad_status", "Status bits that mean nothing are set",
        expert.group.MALFORMED, expert.severity.ERROR),
    flags = ProtoExpert.new("genkan.flags_set", "Flags are set that mean nothing; receivers ignore them",
        expert.group.PROTOCOL, expert.severity.NOTE),
    counter = ProtoExpert.new("genkan.bad_counter", "The counter is beyond 2^48 - 1",
        expert.group.MALFORMED, expert.severity.ERROR),
    certificate = ProtoExpert.new("genkan.bad_certificate", "The certificate does not parse",
        expert.group.MALFORMED, expert.severity.ERROR),
}
genkan.experts = e

genkan.prefs.ports = Pref.range("Ports", DEFAULT_PORTS, "UDP and TCP ports of servers. "
    .. "On other ports messages are recognised by their form.", 65535)

-- Adds fixed-length fields one after another; returns where they end.
local function put(tree, message, at, fields)
    for _, field in ipairs(fields) do
        tree:add(field[1], message(at, field[2]))
        at = at + field[2]
    end
    return at
end

local function all_zero(message, at, length)
    local bytes = message:bytes(at, length)
    for i = 0, length - 1 do
        if bytes:get_index(i) ~= 0 then return false end
    end
    return true
end

local function put_flags(tree, message)
    local item = tree:add(f.flags, message(1, 1))
    if message(1, 1):uint() ~= 0 then item:add_proto_expert_info(e.flags) end
end

local function put_status(tree, message)
    local status = message(1, 1):uint()
    local item = tree:add(f.status, message(1, 1))
    item:add(f.wants_answer, message(1, 1))
    item:add(f.unchanged, message(1, 1))
    if status > 3 then item:add_proto_expert_info(e.status) end
    local words = {}
    if status % 2 == 1 then words[#words + 1] = "wants answer" end
    if status % 4 >= 2 then words[#words + 1] = "address unchanged" end
    return table.concat(words, ", ")
end

local function hex(range) return string.format("%08x", range:uint()) end

local function put_certificate(tree, range)
    local item = tree:add(f.certificate, range)
    local length = range:len()
    local names = length >= 55 and range(54, 1):uint() or 0
    if length ~= 55 + names + 64 or names == 0 or range(0, 2):uint() ~= 0x0100 then
        item:add_proto_expert_info(e.certificate)
        return "not parsable"
    end
    item:add(f.format, range(0, 1))
    item:add(f.certificate_flags, range(1, 1))
    item:add(f.serial, range(2, 4))
    item:add(f.not_before, range(6, 8), NSTime(range(6, 8):uint64():tonumber(), 0))
    item:add(f.not_after, range(14, 8), NSTime(range(14, 8):uint64():tonumber(), 0))
    item:add(f.server_key, range(22, 32))
    item:add(f.names_length, range(54, 1))
    item:add(f.names, range(55, names))
    item:add(f.signature, range(55 + names, 64))
    return string.format("serial %d for %s", range(2, 4):uint(), range(55, names):string())
end

-- A kind with a byte of status and, from byte 2 on, a handle and other fields of fixed length.
local function status(fields)
    return function(tree, message)
        local words = put_status(tree, message)
        put(tree, message, 2, fields)
        local info = "handle " .. hex(message(2, 4))
        if fields[2][1] == f.counter then
            info = info .. ", counter " .. tostring(message(6, 6):uint64())
        end
        return words == "" and info or info .. ", " .. words
    end
end

local function transport(tree, message)
    local counter = message(6, 8)
    put(tree, message, 1, {{f.epoch, 1}, {f.handle, 4}})
    local item = tree:add(f.counter, counter)
    if counter:uint64() > HIGHEST_COUNTER then item:add_proto_expert_info(e.counter) end
    local body = message:len() - 30
    tree:add(f.body, message(14, body))
    tree:add(f.body_length, body):set_generated()
    tree:add(f.tag, message(14 + body, 16))
    return string.format("handle %s, counter %s, %d B sealed", hex(message(2, 4)),
        tostring(counter:uint64()), body)
end

-- A kind with a byte of flags and, from byte 2 on, fields of fixed length; `words` are what the info
-- column says: a word and the offset of the four bytes that it is about.
local function fixed(fields, words)
    return function(tree, message)
        put_flags(tree, message)
        put(tree, message, 2, fields)
        local info = {}
        for i, word in ipairs(words) do info[i] = word[1] .. " " .. hex(message(word[2], 4)) end
        return table.concat(info, ", ")
    end
end

-- What adds each kind's fields behind byte 0 to the tree, and returns what the info column says of it.
local dissect = {
    [0x41] = function(tree, message)
        put_flags(tree, message)
        put(tree, message, 2, {{f.nonce, 8}})
        local item = tree:add(f.padding, message(10, 200))
        if not all_zero(message, 10, 200) then item:add_proto_expert_info(e.padding) end
        return ""
    end,
    [0x61] = function(tree, message)
        put_flags(tree, message)
        put(tree, message, 2, {{f.nonce, 8}})
        return put_certificate(tree, message:range(10))
    end,
    [0x42] = function(tree, message)
        put_flags(tree, message)
        local hello = message:len() - 134
        put(tree, message, 2, {{f.sender_index, 4}, {f.ephemeral, 32}, {f.static, 48},
            {f.hello, hello + 16}, {f.mac1, 16}, {f.mac2, 16}})
        tree:add(f.early, hello > 32):set_generated()
        local info = "index " .. hex(message(2, 4))
        if hello > 32 then info = info .. ", with a request" end
        if not all_zero(message, message:len() - 16, 16) then info = info .. ", with a cookie" end
        return info
    end,
    [0x62] = fixed({{f.handle, 4}, {f.receiver_index, 4}, {f.ephemeral, 32}, {f.welcome, 56}},
        {{"index", 6}, {"handle", 2}}),
    [0x63] = fixed({{f.receiver_index, 4}, {f.nonce, 12}, {f.sealed_cookie, 16}, {f.tag, 16}},
        {{"index", 2}}),
    [0x44] = status({{f.handle, 4}, {f.counter, 6}, {f.tag, 16}}),
    [0x64] = status({{f.handle, 4}, {f.counter, 6}, {f.tag, 16}}),
    [0x45] = status({{f.handle, 4}, {f.counter, 6}, {f.cookie, 6}, {f.tag, 16}}),
    [0x65] = status({{f.handle, 4}, {f.cookie, 6}, {f.tag, 16}}),
    [0x66] = status({{f.handle, 4}, {f.counter, 6}, {f.tag, 16}}),
    [0x47] = fixed({{f.handle, 4}, {f.device_nonce, 16}, {f.tag, 16}}, {{"handle", 2}}),
    [0x67] = fixed({{f.receiver_index, 4}, {f.server_nonce, 16}, {f.tag, 16}},
        {{"index", 2}, {"new handle", 6}}),
    [0x69] = fixed({{f.acceptor_index, 4}, {f.path_tag, 16}, {f.ephemeral, 32}, {f.accept, 48}},
        {{"index", 2}}),
    [0x4b] = function(tree, message)
        put(tree, message, 1, {{f.status, 1}, {f.handle, 4}, {f.counter, 6}, {f.body, 9}, {f.tag, 16}})
        return "handle " .. hex(message(2, 4))
    end,
    [0x6b] = status({{f.handle, 4}, {f.counter, 6}, {f.tag, 16}}),
    [0x4c] = function(tree, message)
        put(tree, message, 1, {{f.status, 1}, {f.receiver_index, 4}, {f.tag, 16}})
        return "index " .. hex(message(2, 4))
    end,
    [0x6c] = function(tree, message)
        put(tree, message, 1, {{f.status, 1}, {f.receiver_index, 4}, {f.tag, 16}})
        return "index " .. hex(message(2, 4))
    end,
    [0x48] = transport, [0x68] = transport, [0x4a] = transport, [0x6a] = transport,
}

-- One message; returns its line for the info column.
local function dissect_message(message, tree)
    local length = message:reported_len()
    local first = message(0, 1):uint()
    local name = kind_names[first]
    tree:append_text(", " .. (name or "unknown message"))
    local kind = tree:add(f.kind, message(0, 1))
    kind:add(f.version, message(0, 1))
    kind:add(f.down, message(0, 1))
    kind:add(f.number, message(0, 1))
    tree:add(f.length, length):set_generated()
    if not name then
        kind:add_proto_expert_info(e.kind)
        if message:len() > 1 then tree:add(f.rest, message:range(1)) end
        return string.format("unknown message 0x%02x", first)
    end
    local _, to, least, most = table.unpack(kinds[first])
    local title = name .. " → " .. to
    if length < least or length > most then
        local should = least == most and tostring(least) or least .. " to " .. most
        kind:add_proto_expert_info(e.length,
            string.format("%s of %d bytes, should be %s", name, length, should))
        if message:len() > 1 then tree:add(f.rest, message:range(1)) end
        return title .. ": wrong length"
    end
    if message:len() < length then -- an ICMP error quotes only its beginning
        tree:add(f.rest, message:range(1))
        return title
    end
    local info = dissect[first](tree, message)
    return info == "" and title or title .. ": " .. info
end

-- Whether bytes have the form of a message, strictly enough to recognise it on any port.
local function looks_like(message)
    local length = message:reported_len()
    if length < 28 or message:len() < length then return false end
    local first = message(0, 1):uint()
    local kind = kinds[first]
    if not kind or length < kind[3] or length > kind[4] then return false end
    local number = first % 0x20
    if number == 8 or number == 10 then return message(6, 2):uint() == 0 end
    local second = message(1, 1):uint()
    if number >= 4 and number <= 6 then return second <= 3 end
    if first == 0x41 then return second == 0 and all_zero(message, 10, 200) end
    if first == 0x61 then return second == 0 and message(10, 2):uint() == 0x0100 end
    return second == 0
end

local function begin(pinfo, tree, range)
    pinfo.cols.protocol = "Genkan"
    return tree:add(genkan, range)
end

local function dissect_datagram(buffer, pinfo, tree)
    local subtree = begin(pinfo, tree, buffer())
    pinfo.cols.info = dissect_message(buffer, subtree)
    return buffer:reported_len()
end

local function dissect_frames(buffer, pinfo, tree)
    local at, length, lines = 0, buffer:len(), {}
    while at < length do
        if length - at < PREFIX then
            pinfo.desegment_offset = at
            pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
            break
        end
        local n = buffer(at, PREFIX):uint()
        if n == 0 or n > MAX_DATAGRAM then
            local subtree = begin(pinfo, tree, buffer:range(at))
            subtree:add(f.frame_length, buffer(at, PREFIX)):add_proto_expert_info(e.frame)
            lines[#lines + 1] = "impossible frame of " .. n .. " B"
            break
        end
        if length - at < PREFIX + n then
            pinfo.desegment_offset = at
            pinfo.desegment_len = PREFIX + n - (length - at)
            break
        end
        local subtree = begin(pinfo, tree, buffer(at, PREFIX + n))
        subtree:add(f.frame_length, buffer(at, PREFIX))
        lines[#lines + 1] = dissect_message(buffer:range(at + PREFIX, n):tvb(), subtree)
        at = at + PREFIX + n
    end
    if #lines > 0 then
        pinfo.cols.info:clear()
        pinfo.cols.info:append(table.concat(lines, " · "))
        pinfo.cols.info:fence()
    end
    return length
end

function genkan.dissector(buffer, pinfo, tree)
    if buffer:len() == 0 then return 0 end
    if pinfo.port_type == TCP then return dissect_frames(buffer, pinfo, tree) end
    return dissect_datagram(buffer, pinfo, tree)
end

genkan:register_heuristic("udp", function(buffer, pinfo, tree)
    if not looks_like(buffer) then return false end
    pinfo.conversation = genkan
    dissect_datagram(buffer, pinfo, tree)
    return true
end)

-- Whether bytes begin a connection: with a whole frame of any kind, or with the first four bytes of one
-- with which connections begin.
local function begins_frames(buffer)
    if buffer:len() < PREFIX + 2 then return false end
    local n, first = buffer(0, PREFIX):uint(), buffer(PREFIX, 1):uint()
    local kind = kinds[first]
    if not kind or n < kind[3] or n > kind[4] then return false end
    if n <= buffer:len() - PREFIX then return looks_like(buffer:range(PREFIX, n):tvb()) end
    return (first == 0x41 or first == 0x42 or first == 0x69) and buffer(PREFIX + 1, 1):uint() == 0
end

-- A dial-back is recognised by its first segment; all of its connection is Genkan's then.
genkan:register_heuristic("tcp", function(buffer, pinfo, tree)
    if not begins_frames(buffer) then return false end
    pinfo.conversation = genkan
    dissect_frames(buffer, pinfo, tree)
    return true
end)

local registered
local function register()
    for _, name in ipairs({"udp.port", "tcp.port"}) do
        local ports = DissectorTable.get(name)
        if registered and registered ~= "" then ports:remove(registered, genkan) end
        if genkan.prefs.ports ~= "" then ports:add(genkan.prefs.ports, genkan) end
    end
    registered = genkan.prefs.ports
end
for _, name in ipairs({"udp.port", "tcp.port"}) do
    DissectorTable.get(name):add_for_decode_as(genkan)
end
register()
genkan.prefs_changed = register
