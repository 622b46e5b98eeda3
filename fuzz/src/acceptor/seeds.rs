//! Where fuzzing begins.

const UP: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0];
const SERVE: [u8; 8] = [0; 8];

/// What each act does is said by `Trial::act`; four more bytes follow.
const LIVES: [&[[u8; 8]]; 7] = [
    // Registers; is asked for; dials; the caller speaks and hangs up.
    &[
        SERVE,
        SERVE,
        [2, 0, 0, 1, 1, 0, 1, 0],
        UP,
        [9, 0, 0, 0, 0, 0, 0, 0],
        [11, 0, 0, 0, 0, 0, 0, 0],
        [9, 0, 4, 1, 9, 9, 9, 9],
        [11, 3, 0, 0, 0, 9, 0, 0],
        [9, 0, 3, 0, 0, 0, 0, 0],
    ],
    // A wrong password, and again, and persisted.
    &[
        SERVE,
        SERVE,
        [2, 0, 1, 2, 1, 0, 1, 0],
        [11, 0, 0, 0, 0, 0, 0, 0],
        [2, 0, 1, 5, 2, 0, 2, 0],
        [2, 0, 1, 8, 2, 1, 3, 0],
        [2, 0, 1, 11, 2, 1, 4, 0],
        [11, 0, 0, 0, 0, 0, 0, 0],
        [12, 255, 2, 0, 0, 0, 0, 0],
    ],
    // Woken, it fetches over TCP.
    &[
        SERVE,
        SERVE,
        [4, 0, 2, 0, 0, 0, 5, 0],
        UP,
        SERVE,
        SERVE,
        [2, 128, 0, 1, 1, 0, 5, 0],
        UP,
        SERVE,
    ],
    // Forbidden addresses.
    &[
        SERVE,
        SERVE,
        [2, 0, 0, 1, 1, 2, 1, 0],
        [2, 0, 0, 1, 2, 3, 2, 0],
        [2, 0, 0, 1, 3, 6, 3, 0],
        [2, 0, 0, 1, 4, 10, 4, 0],
    ],
    // Keepalives, challenges, hints, cookies, and a reboot that resumes.
    &[
        [5, 0, 3, 0, 0, 0, 0, 0],
        SERVE,
        SERVE,
        [12, 50, 2, 0, 0, 0, 0, 0],
        [5, 0, 1, 9, 9, 9, 9, 0],
        [5, 0, 2, 0, 0, 0, 0, 0],
        SERVE,
        [13, 0, 0, 0, 0, 0, 0, 0],
        SERVE,
        SERVE,
        [4, 0, 6, 0, 0, 0, 0, 0],
    ],
    // Nobody answers, then somebody does, over TCP; no randomness for a while.
    &[
        [12, 22, 0, 0, 0, 0, 0, 0],
        UP,
        SERVE,
        SERVE,
        [14, 3, 0, 0, 0, 0, 0, 0],
        [12, 23, 2, 0, 0, 0, 0, 0],
        [6, 0, 1, 0, 9, 3, 2, 0],
    ],
    // What the server has said is said once more, unchanged: by itself, and by somebody else.
    &[
        SERVE,
        SERVE,
        [4, 0, 2, 0, 0, 0, 5, 0],
        [6, 0, 0, 0, 0, 0, 2, 0],
        [6, 1, 0, 0, 0, 0, 2, 0],
        [6, 2, 0, 0, 0, 0, 2, 0],
        [6, 0, 0, 0, 0, 0, 1, 0],
    ],
];

/// Its NAT is measured; the sockets cannot be opened the second time.
const MEASURED: [[u8; 8]; 8] = [
    [0x80, 0, 0, 0, 0, 0, 0, 1],
    [0x81, 0, 1, 0, 0, 0, 0, 1],
    [0x85, 0, 0, 0, 0x9c, 0x50, 0, 0],
    [12, 25, 0, 0, 0, 0, 0, 0],
    [0x82, 0, 13, 1, 0x9c, 0x50, 0, 0],
    [12, 81, 0, 0, 0, 0, 0, 0],
    [0x80, 0, 0, 0, 0, 0, 0, 0],
    [0x85, 0, 1, 0, 0, 0, 0, 0],
];

/// What a server and a caller may do about a hole, after a registration.
const HOLES: [&[[u8; 8]]; 4] = [
    // Let in, told where to, heard, spoken to over the hole; TCP comes to nothing. Then again, for
    // the connection that stands.
    &[
        [2, 0, 0, 1, 1, 0, 1, 0],
        [0x83, 0, 2, 0, 0x9c, 0x40, 0, 0],
        [0x85, 0, 0, 0, 0x9c, 0x60, 0, 0],
        [12, 13, 0, 0, 0, 0, 0, 0],
        [0x86, 0, 0, 0, 0x9c, 0x40, 0, 1],
        [12, 13, 0, 0, 0, 0, 0, 0],
        [0x87, 0, 0, 0, 0x9c, 0x40, 0, 1],
        [0x87, 0, 0, 0, 0x9c, 0x41, 0, 0],
        [2, 9, 0, 1, 2, 0, 2, 0],
        [0x83, 0, 2, 0, 0x9c, 0x50, 0, 0],
        [0x85, 0, 0, 0, 0x9c, 0x70, 0, 0],
        [0x86, 0, 0, 0, 0x9c, 0x50, 0, 2],
        [0x87, 0, 0, 0, 0x9c, 0x50, 0, 2],
        [12, 255, 0, 0, 0, 0, 0, 0],
    ],
    // Over TCP first, then a hole; the caller speaks from a low port.
    &[
        [2, 0, 0, 1, 1, 0, 1, 0],
        UP,
        [9, 0, 0, 0, 0, 0, 0, 0],
        [0x83, 0, 0, 5, 0x9c, 0x40, 0x9c, 0x4a],
        [12, 13, 0, 0, 0, 0, 0, 0],
        [0x86, 0, 1, 0, 0x9c, 0x40, 0, 0],
        [0x87, 0, 0, 0, 0, 22, 0, 0],
        [9, 0, 0, 1, 0, 0, 0, 0],
        [0x87, 0, 0, 0, 0x9c, 0x41, 0, 0],
        [12, 255, 0, 0, 0, 0, 0, 0],
    ],
    // Another peer for the same request, one that must not be sent to, and nobody's request; wrong
    // checks.
    &[
        [2, 0, 0, 1, 1, 0, 1, 0],
        [0x83, 0, 16, 0x10, 0x9c, 0x40, 0, 0],
        [0x8b, 0, 4, 0, 0x9c, 0x40, 0, 0],
        [0x93, 0, 4, 0, 0x9c, 0x40, 0, 0],
        [0x83, 1, 4, 0, 0x9c, 0x40, 0, 0],
        [0x85, 0, 1, 0, 0, 0, 0, 0],
        [0x83, 0, 200, 6, 0, 0, 255, 255],
        [0x85, 0, 0, 0, 0, 0, 0, 0],
        [12, 81, 0, 0, 0, 0, 0, 0],
        [0x86, 0, 2, 0, 0x9c, 0x40, 0, 1],
        [0x8e, 0, 0, 0, 0x9c, 0x40, 0, 1],
    ],
    // Detection packets are reported, and a range comes of it; sockets come late, bursts overtake.
    &[
        [2, 0, 0, 1, 1, 0, 1, 0],
        [0x83, 0, 3, 1, 0x9c, 0x40, 0, 2],
        [0x83, 0, 4, 1, 0x9c, 0x44, 0, 2],
        [0x85, 0, 0, 1, 0x9c, 0x40, 0, 0],
        [0x85, 0, 0, 0, 0x9c, 0x40, 0, 0],
        [12, 13, 0, 0, 0, 0, 0, 0],
        [0x82, 0, 1, 1, 0x9c, 0x50, 3, 0],
        [0x82, 0, 1, 2, 0x9c, 0x54, 3, 0],
        [12, 101, 0, 0, 0, 0, 0, 0],
    ],
];

/// Registration, doors of all kinds, dial-backs, and what a hostile server may try.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = crate::trial::seeds(
        &[&[1, 1], &[3, 2], &[1, 14, 7, 4], &[2, 0xa2, 1], &[0, 0x51, 0, 9]],
        &LIVES,
    );
    let before = [&[SERVE, SERVE], &MEASURED[..]].concat();
    let holes = HOLES.map(|life| [&before, life].concat());
    let holes = holes.each_ref().map(Vec::as_slice);
    let heads: [&[u8]; 3] = [&[1, 1, 0, 0, 1], &[2, 1, 7, 0, 7], &[0, 2, 4, 0, 5]];
    seeds.extend(crate::trial::seeds(&heads, &holes));
    seeds
}
