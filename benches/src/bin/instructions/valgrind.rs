//! One run of this program under callgrind.

use std::process::{Command, Stdio};

/// Instructions that callgrind counted in one case, all rounds together.
pub(crate) fn instructions(case: &str) -> u64 {
    let file = std::env::temp_dir().join(format!("genkan-callgrind-{}", std::process::id()));
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*count_this*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().unwrap())
        .arg(case)
        .stderr(Stdio::null())
        .status();
    let status = status.unwrap_or_else(|error| panic!("valgrind does not start: {error}"));
    assert!(status.success(), "{case} failed under valgrind");
    let profile = std::fs::read_to_string(&file).unwrap();
    // It only takes room in the temporary folder if it stays.
    let _ = std::fs::remove_file(&file);
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.and_then(|number| number.trim().parse().ok()).unwrap()
}
