//! Replays what fuzzers have found so far, without a fuzzer: every input of every corpus, every seed,
//! and seeds with bytes changed at random.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use genkan_fuzz::{TARGETS, Target, target};
use genkan_sim::Rng;

/// The inputs in the archive of a target's corpus, with their names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{name}.tar.gz"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("corpus-{name}-{:?}", std::thread::current().id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&folder).status();
    assert!(unpacked.unwrap().success(), "{}", archive.display());
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    inputs.sort();
    fs::remove_dir_all(&folder).unwrap();
    inputs
}

/// Runs one input; a panic names it.
fn run(target: Target, name: &str, input: &[u8]) {
    let done = std::panic::catch_unwind(|| (target.run)(input));
    assert!(done.is_ok(), "{}: {name}, the bytes {input:02x?}", target.name);
}

fn replay(name: &str) {
    let target = target(name).unwrap();
    let inputs = corpus(name);
    assert!(inputs.len() >= 10, "{name}: a corpus of {}", inputs.len());
    for (file, input) in &inputs {
        run(target, file, input);
    }
    let seeds = (target.seeds)();
    assert!(seeds.len() >= 9, "{name}: {} seeds", seeds.len());
    let mut rng = Rng::new(1);
    for (number, seed) in seeds.iter().enumerate() {
        run(target, &format!("seed {number}"), seed);
        for change in 0..4 {
            let mut changed = seed.clone();
            let at = rng.index(changed.len());
            changed[at] = rng.next_u64() as u8;
            run(target, &format!("seed {number}, change {change}"), &changed);
        }
    }
}

macro_rules! corpora {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name));
        }
    )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(replayed, TARGETS.map(|target| target.name));
        }
    };
}

/// The seeds and the corpus together lead the machines to everything that they can tell.
#[test]
fn every_event_is_reached() {
    let wanted: [(&str, &[&str]); 3] = [
        (
            "server",
            &[
                "Registered",
                "Left",
                "Requested",
                "Accepted",
                "Refused",
                "Full",
                "Measured",
                "Planned",
            ],
        ),
        (
            "acceptor",
            &[
                "Registered",
                "RegistrationLost",
                "Certificate",
                "Resumable",
                "Persist",
                "Requested",
                "Connected",
                "Nat",
                "PathChanged",
                "Closed",
            ],
        ),
        (
            "issuer",
            &[
                "Certificate",
                "ServerReached",
                "Planned",
                "Connected",
                "EarlyKey",
                "Refused",
                "Failed",
                "Nat",
                "Hopeless",
                "PathChanged",
                "Closed",
            ],
        ),
    ];
    for (name, wanted) in wanted {
        let target = target(name).unwrap();
        let inputs = corpus(name).into_iter().map(|(_, input)| input).chain((target.seeds)());
        let reached = genkan_fuzz::reached(|| inputs.for_each(|input| (target.run)(&input)));
        let missing: Vec<_> = wanted.iter().filter(|event| !reached.contains(**event)).collect();
        assert!(missing.is_empty(), "{name}: {missing:?} is never told");
    }
}

corpora! { addresses datagram certificate stream files lease punch server acceptor issuer world swarm }
