//! Where fuzzing begins.

const ASK: [u8; 8] = [2, 0, 5, 1, 0, 0, 0, 0];
const UP: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0];
const SERVE: [u8; 8] = [0; 8];

/// What each act does is said by `Trial::act`; four more bytes follow.
const LIVES: [&[[u8; 8]]; 7] = [
    // Asks, is told the plan, is dialled, is spoken to, hangs up.
    &[
        ASK,
        SERVE,
        SERVE,
        [4, 0, 0, 2, 0, 0, 0, 0],
        [9, 0, 1, 7, 0, 0, 0, 0],
        [11, 0, 1, 0, 0, 0, 0, 0],
        [11, 0, 5, 1, 9, 9, 9, 9],
        [13, 0, 0, 0, 0, 9, 0, 0],
        [13, 1, 0, 0, 0, 0, 0, 0],
    ],
    // Over TCP.
    &[
        ASK,
        UP,
        SERVE,
        SERVE,
        [4, 128, 0, 2, 0, 0, 0, 0],
        [9, 0, 0, 0, 0, 0, 0, 0],
        [11, 0, 4, 3, 0, 0, 0, 0],
        [11, 0, 3, 0, 0, 0, 0, 0],
    ],
    // Refused; and again, from another; nobody listens.
    &[
        ASK,
        SERVE,
        SERVE,
        [4, 0, 2, 0, 0, 0, 0, 0],
        [2, 1, 0, 0, 0, 0, 0, 0],
        [3, 0, 0, 0, 2, 0, 0, 0],
        [2, 1, 4, 0, 0, 0, 0, 0],
        SERVE,
    ],
    // Cookies, hints, challenges, time.
    &[
        ASK,
        [5, 0, 3, 0, 0, 0, 0, 0],
        SERVE,
        SERVE,
        [5, 0, 1, 9, 9, 9, 9, 0],
        [5, 0, 2, 0, 0, 0, 0, 0],
        [12, 22, 2, 0, 0, 0, 0, 0],
        SERVE,
    ],
    // Two at once, one answered twice; wrong answers; many silent dials.
    &[
        ASK,
        [2, 1, 4, 2, 0, 0, 0, 0],
        SERVE,
        SERVE,
        [9, 0, 2, 0, 0, 1, 0, 30],
        [9, 0, 0, 0, 0, 0, 0, 0],
        [9, 0, 0, 0, 0, 0, 0, 0],
        [9, 2, 0, 0, 0, 0, 0, 0],
        [9, 2, 0, 0, 0, 0, 0, 0],
        [9, 1, 0, 0, 0, 0, 0, 0],
        [4, 0, 4, 0, 0, 0, 0, 0],
    ],
    // No randomness, reboots, nobody there.
    &[
        [14, 3, 0, 0, 0, 0, 0, 0],
        ASK,
        [14, 0, 0, 0, 0, 0, 0, 0],
        ASK,
        [13, 255, 0, 0, 0, 0, 0, 0],
        ASK,
        [12, 26, 0, 0, 0, 0, 0, 0],
        [12, 23, 0, 0, 0, 0, 0, 0],
    ],
    // What the server has said is said once more, unchanged: by itself, and by somebody else.
    &[
        ASK,
        SERVE,
        SERVE,
        [4, 0, 0, 2, 0, 0, 0, 0],
        [6, 0, 0, 0, 0, 0, 0, 0],
        [6, 1, 0, 0, 0, 0, 0, 0],
        [6, 2, 0, 0, 0, 0, 0, 0],
        [6, 0, 0, 0, 0, 0, 1, 0],
    ],
];

/// What a server and a door may do about a hole, after a request that was passed on.
const HOLES: [&[[u8; 8]]; 4] = [
    // Measured, told where to, heard; the communication request comes over the hole. Nothing is heard
    // for long: another path is asked for, and found.
    &[
        [0x80, 0, 0, 0, 0, 0, 0, 1],
        [0x85, 0, 0, 0, 0x9c, 0x50, 0, 0],
        [0x82, 0, 13, 1, 0x9c, 0x50, 0, 0],
        [0x83, 0, 2, 0, 0x9c, 0x40, 0, 0],
        [0x85, 0, 0, 0, 0x9c, 0x60, 0, 0],
        [0x86, 0, 0, 0, 0x9c, 0x40, 0, 1],
        [0x87, 0, 0, 0, 0x9c, 0x40, 0, 1],
        [12, 59, 2, 0, 0, 0, 0, 0],
        SERVE,
        SERVE,
        [0x83, 0, 2, 0, 0x9c, 0x50, 0, 0],
        [0x85, 0, 0, 0, 0x9c, 0x60, 0, 0],
        [0x86, 0, 0, 0, 0x9c, 0x50, 0, 1],
        [0x87, 0, 0, 0, 0x9c, 0x50, 0, 1],
        [12, 255, 2, 0, 0, 0, 0, 0],
    ],
    // Over TCP first; then the door is heard over a hole, and speaks from a low port.
    &[
        [9, 0, 0, 0, 0, 0, 0, 0],
        [0x83, 0, 0, 5, 0x9c, 0x40, 0x9c, 0x4a],
        [12, 13, 0, 0, 0, 0, 0, 0],
        [0x86, 0, 1, 0, 0x9c, 0x40, 0, 0],
        [0x87, 0, 0, 0, 0, 22, 0, 0],
        [0x87, 0, 0, 0, 0, 22, 0, 0],
        [0x87, 0, 0, 0, 0x9c, 0x41, 0, 0],
        [12, 255, 2, 0, 0, 0, 0, 0],
    ],
    // Another peer, one that must not be sent to, nobody's request; wrong checks; no hope.
    &[
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
        [0x84, 0, 255, 0, 0, 0, 0, 0],
    ],
    // Detection packets are reported; sockets come late, bursts overtake.
    &[
        [0x80, 0, 0, 0, 0, 0, 0, 0],
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

/// Requests over each transport, doors that answer, and what a hostile server may try.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = crate::trial::seeds(
        &[&[1, 0, 20], &[3, 1, 20], &[1, 2, 40], &[2, 0x1c, 9], &[0, 0x14, 60]],
        &LIVES,
    );
    let before: [[u8; 8]; 5] =
        [[2, 0, 4, 1, 0, 0, 0, 0], SERVE, SERVE, SERVE, [4, 0, 0, 2, 0, 0, 0, 0]];
    let holes = HOLES.map(|life| [&before[..], life].concat());
    let holes = holes.each_ref().map(Vec::as_slice);
    let heads: [&[u8]; 3] = [&[1, 1, 60, 0, 1], &[3, 1, 200, 7, 3], &[0, 1, 30, 4, 5]];
    seeds.extend(crate::trial::seeds(&heads, &holes));
    seeds
}
