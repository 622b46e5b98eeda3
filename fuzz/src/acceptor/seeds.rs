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

/// Registration, doors of all kinds, dial-backs, and what a hostile server may try.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    crate::trial::seeds(
        &[&[1, 1], &[3, 2], &[1, 14, 7, 4], &[2, 0xa2, 1], &[0, 0x51, 0, 9]],
        &LIVES,
    )
}
