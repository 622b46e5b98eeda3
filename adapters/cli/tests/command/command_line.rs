//! The command line as a whole: help, mistakes, completions.

use crate::support::{run, run_with_input};

#[test]
fn help_tells_the_commands_and_the_exit_statuses() {
    for flag in ["--help", "-h"] {
        let help = run(&[flag]);
        assert_eq!(help.status, 0);
        for part in ["demo", "serve", "accept", "connect", "key", "authority", "130"] {
            assert!(help.out.contains(part), "{part} in {}", help.out);
        }
    }
    assert!(run(&["serve", "--help"]).out.contains("prints the authority key"), "the long form");
    assert!(run(&["--version"]).out.starts_with("genkan "));
    for command in ["demo", "serve", "accept", "connect", "key", "authority", "completions"] {
        let help = run(&[command, "--help"]);
        assert_eq!(help.status, 0, "{command}");
        assert!(!help.out.contains("supervised"), "hidden options stay hidden");
    }
}

#[test]
fn a_wrong_command_line_ends_with_status_2_and_says_what_is_wrong() {
    let id = genkan_core::EquipmentId([1; 32]).to_string();
    let wrong: [(&[&str], &str); 14] = [
        (&[], "Usage"),
        (&["conect"], "similar subcommand"),
        (&["key"], "Usage"),
        (&["key", "id", "a", "b"], "unexpected argument"),
        (&["completions", "csh"], "invalid value"),
        (&["connect", "gk1qqqq", "--listen", "0"], "a character is wrong or missing"),
        (&["accept", "--forward", "nowhere"], "a port is missing"),
        (&["serve", "--bind", "127.0.0.1"], "--bind"),
        (&["serve", "--other-port", "0"], "it must be 1 to 65535, or none"),
        (&["serve", "--other-port", "any"], "it must be 1 to 65535, or none"),
        (&["serve", "--other-address", "host"], "it must be an address"),
        (&["serve", "--other-port", "none", "--other-address", "127.0.0.2"], "a second port"),
        (&["connect", &id, "--stdio", "--max-guesses", "1025"], "0..=1024"),
        (&["accept", "--thermostat", "--punch", "both"], "invalid value"),
    ];
    for (arguments, why) in wrong {
        let refused = run(arguments);
        assert_eq!(refused.status, 2, "{arguments:?}");
        assert!(refused.err.contains(why), "{arguments:?}: {}", refused.err);
        assert_eq!(refused.out, "", "{arguments:?}");
    }
}

#[test]
fn there_is_no_way_to_give_a_password_as_an_argument() {
    let id = genkan_core::EquipmentId([1; 32]).to_string();
    for command in [&["connect", &id, "--stdio"][..], &["accept", "--forward", "127.0.0.1:1"]] {
        for option in ["--password", "--password=secret", "-p"] {
            let arguments = [command, &[option, "secret"]].concat();
            let refused = run(&arguments);
            assert_eq!(refused.status, 2, "{option}");
            assert!(refused.err.contains("unexpected argument"), "{option}: {}", refused.err);
        }
    }
}

#[test]
fn completions_know_the_commands_and_fit_their_shells() {
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef genkan"), ("fish", "complete -c")]
    {
        let script = run(&["completions", shell]);
        assert_eq!(script.status, 0);
        for part in [mark, "connect", "password-file"] {
            assert!(script.out.contains(part), "{part} for {shell}");
        }
        assert!(!script.out.contains("--password "));
    }
    if let Ok(bash) = std::process::Command::new("bash").arg("--version").output() {
        assert!(bash.status.success());
        let script = run(&["completions", "bash"]).out;
        let mut check = std::process::Command::new("bash");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        assert!(check.arg("-n").arg(file.path()).status().unwrap().success());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let ran = run_with_input(&["completions", "bash"], b"");
    assert_eq!(ran.status, 0);
    let mut command = crate::support::genkan();
    command.args(["completions", "bash"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A disk that is full is one: whoever reads the file would take what is missing for nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_cannot_be_written_is_a_failure() {
    let commands: [&[&str]; 8] = [
        &["--help"],
        &["--version"],
        &["completions", "bash"],
        &["sim", "nats"],
        &["sim", "nats", "pf", "--json"],
        &["sim", "judge", "public", "public"],
        &["sim", "world", "--seeds", "1", "--hours", "0.01"],
        &["sim", "world", "--seed", "1", "--hours", "0.01", "--json"],
    ];
    for arguments in commands {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let child = crate::support::genkan().args(arguments).stdout(full).output().unwrap();
        let ran = crate::support::Ran::from(child);
        assert_eq!(ran.status, 1, "{arguments:?}");
        assert_eq!(ran.err.lines().count(), 1, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("cannot write to standard output"), "{}", ran.err);
    }
}
