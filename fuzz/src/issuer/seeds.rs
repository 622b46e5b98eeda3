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

/// Requests over each transport, doors that answer, and what a hostile server may try.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    crate::trial::seeds(
        &[&[1, 0, 20], &[3, 1, 20], &[1, 2, 40], &[2, 0x1c, 9], &[0, 0x14, 60]],
        &LIVES,
    )
}
