//! `genkan sim`: what it tells of one world and of many, and what it writes.

use core::time::Duration;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;

use crate::support::{genkan, run};

/// The events of a run with `--json`.
fn events(arguments: &[&str]) -> Vec<Value> {
    let ran = run(&[arguments, &["--json"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn one_seed_tells_the_numbers_that_many_tell() {
    let one = events(&["sim", "world", "--seed", "3", "--hours", "0.1"]);
    let many = events(&["sim", "world", "--from", "3", "--seeds", "1", "--hours", "0.1"]);
    let [one, many] = [&one[0], &many[0]];
    assert_eq!((&one["event"], &many["event"]), (&"world".into(), &"worlds".into()));
    for number in ["failed", "hours", "packets", "checks", "requests", "connected", "payloads"] {
        assert!(one[number].is_number(), "{number} in {one}");
        assert_eq!(one[number], many[number], "{number}");
    }
    for figure in ["seconds", "hours_per_second"] {
        assert!(one[figure].is_number() && many[figure].is_number(), "{figure}");
    }
    assert_eq!(one["hash"].as_str().map(str::len), Some(16));
    let drawn = one["drawn"].as_array().unwrap();
    assert!(drawn[0].as_str().unwrap().starts_with("server: "), "{drawn:?}");
    assert!(drawn.iter().any(|line| line.as_str().unwrap().starts_with("lamp0: ")), "{drawn:?}");
}

#[test]
fn what_is_kept_for_files_changes_nothing_in_a_world() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let plain = ["sim", "world", "--seed", "3", "--hours", "0.1"];
    let (text, svg, pcapng) = (path("a.txt"), path("a.svg"), path("a.pcapng"));
    let files = ["--transcript", &text, "--svg", &svg, "--pcapng", &pcapng];
    let looked_at = events(&[&plain[..], &files].concat());
    assert_eq!(events(&plain)[0]["hash"], looked_at[0]["hash"]);
    let read = |path: &str| std::fs::read(path).unwrap();
    assert!(read(&text).starts_with(b"t=0.000 server: on\n"));
    assert!(read(&svg).starts_with(b"<svg "));
    assert_eq!(read(&pcapng)[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_world_begins() {
    // These hours and seeds would take longer than anybody waits.
    let world: &[&str] = &["sim", "world", "--seed", "1", "--hours", "100"];
    let matrix: &[&str] = &["sim", "matrix", "--seeds", "1000000000"];
    for (long, option) in
        [(world, "--transcript"), (world, "--pcapng"), (world, "--svg"), (matrix, "--svg")]
    {
        let began = Instant::now();
        let ran = run(&[long, &[option, "/no such folder/file"]].concat());
        assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{option}");
        assert!(ran.err.contains("cannot write /no such folder/file"), "{}", ran.err);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

/// One world and many: each tells what was done, and ends with the status of an interruption.
#[cfg(unix)]
#[test]
fn an_interrupted_run_tells_what_it_has_done() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("story");
    let story = [
        "--seed",
        "1",
        "--hours",
        "100",
        "--appliances",
        "8",
        "--transcript",
        file.to_str().unwrap(),
    ];
    let many = ["--seeds", "1000000", "--hours", "0.01"];
    // No world is over when it is time to stop.
    let long = ["--seeds", "4", "--hours", "100000"];
    for arguments in [&story[..], &many, &long] {
        let mut command = genkan();
        command.args(["sim", "world"]).args(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It listens for signals before it makes its file; nothing tells when `--seeds` does.
        if arguments == story {
            wait_for(&file);
        }
        std::thread::sleep(Duration::from_millis(500));
        crate::support::signal(child.id().into(), "INT");
        let ran = crate::support::Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.status, 130, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("interrupted"), "{}", ran.err);
        assert!(
            ran.out.contains(" packets, ") && ran.out.contains("simulated hours"),
            "{}",
            ran.out
        );
    }
    assert!(std::fs::read_to_string(file).unwrap().contains("server: on\n"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_matrix_tells_what_it_has_done() {
    let dir = tempfile::tempdir().unwrap();
    let svg = dir.path().join("m.svg");
    let mut command = genkan();
    command.args(["sim", "matrix", "--seeds", "1000000000", "--svg"]).arg(&svg);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&svg);
    std::thread::sleep(Duration::from_millis(500));
    crate::support::signal(child.id().into(), "INT");
    let ran = crate::support::Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, 130, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("interrupted"), "{}", ran.err);
    // The first pair has some runs, the last has none.
    assert!(ran.out.contains(" 1 cone     100") && ran.out.contains(" runs in "), "{}", ran.out);
    assert!(std::fs::read_to_string(svg).unwrap().contains(">not run</text>"));
}

#[cfg(unix)]
fn wait_for(file: &Path) {
    let began = Instant::now();
    while !file.exists() {
        assert!(began.elapsed() < crate::support::PATIENCE, "{} is not made", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_matrix_tells_each_pair_in_a_table_as_events_and_in_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let svg = dir.path().join("m.svg");
    let few = ["sim", "matrix", "--kinds", "port,seq+2,random", "--seeds", "30"];
    let all = events(&[&few[..], &["--rates", "0,5", "--svg", svg.to_str().unwrap()]].concat());
    let pairs: Vec<&Value> = all.iter().filter(|event| event["event"] == "pair").collect();
    assert_eq!(pairs.len(), 2 * 9);
    let of = |issuer: &str, acceptor: &str| {
        let is = |pair: &&&Value| pair["issuer"] == issuer && pair["acceptor"] == acceptor;
        *pairs.iter().find(is).unwrap()
    };
    let [plain, counted] = [of("port", "port"), of("seq+2", "port")];
    assert_eq!((&plain["met"], &counted["met"]), (&30.into(), &30.into()));
    assert_eq!((&plain["method"], &counted["method"]), (&"direct".into(), &"bracket".into()));
    let hopeless = of("random", "seq+2");
    assert_eq!((&hopeless["hopeless"], &hopeless["packets"]), (&30.into(), &Value::Null));
    assert_eq!((&all[18]["event"], &all[18]["runs"]), (&"matrix".into(), &(18 * 30).into()));
    assert!(std::fs::read_to_string(svg).unwrap().matches("<g class=").count() > 18);

    let table = run(&few);
    for part in ["1    2    3\n", "100  100", "–", "seq+2, port"] {
        assert!(table.out.contains(part), "{part} in {}", table.out);
    }
    let longest = table.out.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(80), "{longest:?}");
}

#[test]
fn wrong_options_and_names_are_told_in_words() {
    let wrong: [(&[&str], &str); 17] = [
        (&["matrix", "--seeds", "0"], "a number from 1 on"),
        (&["matrix", "--rates", "5,-1"], "numbers from 0 to 1000"),
        (&["matrix", "--loss", "51"], "numbers from 0 to 50"),
        (&["matrix", "--kinds", "port,prot"], "no kind is called 'prot'; there are all, rfc6081"),
        (&["world", "--seeds", "-1"], "'-1' for '--seeds <N>': a number from 1 on"),
        (&["world", "--seeds", "0"], "a number from 1 on"),
        (&["world", "--threads", "0"], "a number from 1 on"),
        (&["world", "--from", "-5"], "a number from 0 to"),
        (&["world", "--hours", "-1"], "a number of hours from 0.01"),
        (&["world", "--users", "-1"], "a number from 1 to 8"),
        (&["world", "--seed", "1", "--svg", "x", "--lines", "0"], "a number from 1 on"),
        (&["world", "--seed", "1", "--hours", "101", "--svg", "x"], "of at most 100 hours"),
        (&["world", "--svg", "x"], "files are written of one world only"),
        (&["nats", "openwr"], "no NAT is called 'openwr'; did you mean 'openwrt'?"),
        (&["nats", "zzz"], "no NAT is called 'zzz'\n"),
        (&["nats", "public"], "'public' is an end without a NAT"),
        (&["judge", "public+openwrt", "public"], "it stands alone"),
    ];
    for (arguments, why) in wrong {
        let ran = run(&[&["sim"], arguments].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains(why), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn the_list_explains_its_words_and_a_box_names_its_source() {
    let list = run(&["sim", "nats"]);
    for part in ["EI*  as EI", "until\nthe first answer", "30, 120 s"] {
        assert!(list.out.contains(part), "{part} in {}", list.out);
    }
    let one = run(&["sim", "nats", "map-e"]);
    assert!(one.out.contains("source     RFC 7597"), "{}", one.out);
    assert!(one.out.contains("NatConfig {"), "{}", one.out);
    let event = &events(&["sim", "nats", "map-e"])[0];
    assert!(event["source"].as_str().unwrap().contains("RFC 7597"));
}
