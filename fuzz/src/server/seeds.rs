//! Where fuzzing begins.

/// Good and not so good lives of equipment at a server.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // What each act does is said by `Siege::act`; the rest of the record is zero.
    let lives: [&[[u8; 5]]; 7] = [
        // Registers, is heard of again, is asked for, accepts.
        &[
            [0, 0, 4, 0, 0],
            [6, 0, 0, 0, 0],
            [0, 2, 4, 0, 0],
            [2, 2, 4, 0, 0],
            [2, 0, 5, 0, 0],
            [10, 0, 5, 0, 0],
        ],
        // Moves, is challenged, echoes; its messages are repeated by strangers.
        &[[0, 1, 4, 0, 0], [6, 1, 0, 1, 0], [6, 1, 1, 1, 0], [7, 0, 0, 0, 0], [7, 0, 1, 1, 9]],
        // What it says is caught, and sent by a stranger instead.
        &[
            [0, 0, 4, 0, 0],
            [6, 0, 0, 128, 0],
            [7, 0, 0, 0, 0],
            [2, 0, 1, 128, 0],
            [7, 0, 0, 0, 0],
            [0, 2, 0, 128, 0],
            [7, 0, 0, 0, 0],
        ],
        // Comes over TCP, goes.
        &[[11, 0, 0, 0, 0], [0, 0, 6, 0, 0], [6, 0, 0, 0, 0], [2, 0, 3, 0, 0], [13, 0, 0, 0, 0]],
        // Reboots and resumes; the server reboots too.
        &[
            [0, 0, 4, 0, 0],
            [14, 0, 1, 0, 0],
            [2, 0, 1, 0, 0],
            [15, 0, 3, 0, 0],
            [6, 0, 0, 0, 0],
            [0, 0, 4, 0, 0],
        ],
        // Asks within the first message; a stranger is refused in time.
        &[[0, 0, 4, 0, 0], [0, 2, 8, 0, 0], [0, 3, 12, 0, 1], [10, 0, 10, 0, 0], [10, 0, 23, 0, 0]],
        // Strangers alone.
        &[
            [9, 0, 9, 0, 0],
            [9, 1, 2, 2, 0],
            [9, 5, 2, 0, 0],
            [9, 6, 4, 0, 0],
            [11, 0, 1, 0, 0],
            [12, 0, 0, 0, 0],
        ],
    ];
    let mut seeds = Vec::new();
    for head in [[7, 0, 5, 7], [7, 1, 5, 7], [1, 0, 1, 0], [3, 4, 3, 1], [0, 2, 0, 0]] {
        for life in lives {
            let mut seed = head.to_vec();
            seed.resize(8, 0);
            for act in life {
                seed.extend(act);
                seed.extend([0; 7]);
            }
            seeds.push(seed);
        }
    }
    seeds.extend(holes());
    seeds
}

/// An acceptor and an issuer that can punch come and are measured, and one asks for the other.
const MET: [[u8; 12]; 9] = [
    [0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x80, 0, 0x20, 0, 255, 1, 0, 0, 0, 0, 0, 0],
    [0x81, 0, 1, 0, 0x9c, 0x40, 2, 0, 0, 0, 0, 0],
    [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x80, 2, 1, 0, 64, 4, 0, 0, 0, 0, 0, 0],
    [0x81, 2, 4, 0, 0x75, 0x30, 1, 0, 0, 0, 0, 0],
    [10, 0, 41, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [2, 2, 4, 0, 4, 0, 0, 0, 0, 0, 0, 0],
    [2, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];

/// What goes on between them.
const HOLES: [&[[u8; 12]]; 3] = [
    // The packets of a bracket, a range, a path.
    &[
        [0x83, 0, 0, 0, 0x9c, 0x50, 0, 0, 0, 0, 0, 0],
        [0x83, 0, 1, 0, 0x9c, 0x50, 1, 1, 0, 0, 0, 0],
        [0x83, 0, 1, 0, 0x9c, 0x54, 2, 1, 0, 0, 0, 0],
        [0x86, 0, 0, 0, 0x9c, 0x50, 0x9c, 0x54, 0, 0, 2, 1],
        [10, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x83, 2, 1, 0, 0x75, 0x50, 1, 1, 0, 0, 0, 0],
        [0x83, 2, 1, 0, 0x75, 0x54, 2, 1, 0, 0, 0, 0],
        [0x86, 2, 0, 0, 0x75, 0x50, 0xff, 0xff, 0, 0, 2, 1],
        [10, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x85, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x85, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
    // From other addresses and at other ends, of others' requests, repeated and changed.
    &[
        [0x83, 0, 1, 1, 0x9c, 0x50, 1, 1, 0, 0, 0, 0],
        [0x83, 0, 1, 0x80, 0x9c, 0x50, 1, 1, 0, 0, 1, 0],
        [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x82, 2, 7, 4, 0, 0, 3, 1, 0, 0, 1, 0],
        [0x82, 2, 8, 1, 0, 0, 9, 9, 0, 0, 2, 3],
        [0x85, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x86, 1, 0, 4, 0, 1, 0, 9, 0, 0, 2, 1],
        [0x87, 0, 0, 1, 0, 0, 3, 1, 0, 9, 1, 0],
        [0x87, 0, 0, 0, 0, 0, 3, 1, 0, 9, 2, 0],
        [8, 0, 1, 1, 0, 9, 3, 0, 0, 0, 0, 0],
    ],
    // Nobody is heard: every try, and what comes after it. Then both come anew.
    &[
        [10, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [10, 0, 161, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x80, 0, 0, 1, 16, 0, 0, 0, 0, 0, 0, 0],
        [0x81, 0, 1, 0, 0x9c, 0x40, 9, 0x3e, 0, 0, 0, 0],
        [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x80, 2, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        [10, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 0x24, 0, 8, 0, 0, 0, 0, 0, 0, 0],
        [10, 0, 201, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
];

/// An acceptor names a port that its box has opened: it says what no probe has carried, then what one
/// has, and is asked for; then it names another port, and says what it has said before.
const LEASED: [[u8; 12]; 16] = [
    [0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x85, 0, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0],
    [0x80, 0, 0x20, 0, 255, 1, 0, 0, 0, 0, 0, 0],
    [0x85, 0, 0xc0, 0, 0, 0, 3, 0, 7, 7, 0, 0],
    [0x81, 0, 6, 0, 0x9c, 0x40, 2, 0, 0, 0, 0, 0],
    [0x85, 0, 0xc0, 0, 0, 0, 2, 0, 0, 0, 0, 0],
    [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x80, 2, 1, 0, 64, 4, 0, 0, 0, 0, 0, 0],
    [0x81, 2, 4, 0, 0x75, 0x30, 1, 0, 0, 0, 0, 0],
    [2, 2, 0x24, 0, 4, 0, 0, 0, 0, 0, 0, 0],
    [0x85, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [2, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x85, 0, 0x80, 0, 0, 0, 0, 0, 0x75, 0x31, 0, 0],
    [0x85, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x80, 0, 0x20, 0, 255, 1, 0, 0, 0, 0, 0, 0],
    [0x85, 0, 0xc0, 0, 0, 0, 2, 0, 0, 0, 0, 0],
];

/// Measurements and holes, among strangers and paired ones, with one address and with two.
fn holes() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for head in [[3, 0, 5, 3, 1], [7, 0, 9, 3, 3]] {
        seeds.push([&head[..], &[0; 3], LEASED.as_flattened()].concat());
        for life in HOLES {
            for paired in [0, 0x20] {
                let mut seed = [&head[..], &[0; 3]].concat();
                for act in MET.iter().chain(life) {
                    let at = seed.len();
                    seed.extend(act);
                    if act[..3] == [2, 2, 4] {
                        seed[at + 2] |= paired;
                    }
                }
                seeds.push(seed);
            }
        }
    }
    seeds
}
