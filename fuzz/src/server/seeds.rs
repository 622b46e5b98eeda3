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
    seeds
}
