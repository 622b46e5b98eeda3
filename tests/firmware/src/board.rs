//! The emulated machine.

use core::cell::Cell;
use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use genkan_kernel_tests::Namespace;

use crate::log::Log;

/// The emulator gives the firmware's flash this much of a file, in bytes.
const RAM: u64 = 16 << 20;
/// That file's name.
pub(crate) const FLASH: &str = "flash";
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A machine that runs the firmware; it is switched off when dropped, and when the thread that has
/// started it ends.
#[derive(Debug)]
pub struct Board {
    child: Child,
    /// Decodes what it logs.
    reader: Option<JoinHandle<()>>,
    monitor: PathBuf,
    log: Log,
    /// Lines before this one were asked for already.
    asked: Cell<usize>,
}

impl Board {
    /// Switches a machine on in a namespace that has a tap of this name. `elf` is what it runs; `dir`
    /// has its flash, which is new when there is none; `log` gets what it says; `arguments` are the
    /// firmware's own. It waits to be told `cont`. `counts`: the emulator counts instructions
    /// ([`Board::instructions`]).
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without the machine there is nothing to test")]
    pub fn start(
        namespace: &Namespace,
        tap: &str,
        elf: &Path,
        dir: &Path,
        log: &Log,
        arguments: &[&str],
        counts: bool,
    ) -> Self {
        let code = std::fs::read(elf).expect("the firmware can be read");
        let flash = dir.join(FLASH);
        let file = File::options().create(true).append(true).open(&flash);
        file.and_then(|file| file.set_len(RAM)).expect("a file for the flash");
        let monitor = dir.join("monitor");
        // It may be there of a machine before.
        let _ = std::fs::remove_file(&monitor);
        let memory = format!(
            "memory-backend-file,id=flash,size={RAM},share=on,mem-path={}",
            flash.display()
        );
        let options = arguments.iter().map(|it| format!(",arg={it}")).collect::<String>();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", namespace.path()));
        command.args(["setpriv", "--pdeathsig", "KILL", "qemu-system-arm"]);
        command.args(["-machine", "mps2-an385,memory-backend=flash", "-object", &memory]);
        command.args(["-S", "-display", "none", "-serial", "null"]);
        command.args(["-monitor", &format!("unix:{},server=on,wait=off", monitor.display())]);
        let semihosting = format!("enable=on,target=native,arg=firmware{options}");
        command.args(["-semihosting-config", &semihosting]);
        let tap = format!("tap,id=wire,ifname={tap},script=no,downscript=no");
        command.args(["-netdev", &tap]);
        command.args(["-net", "nic,netdev=wire,model=lan9118,macaddr=52:54:00:12:34:56"]);
        if counts {
            // An instruction takes 8 ns of the board's time, and sleep as long as it takes here.
            let events = dir.join("events");
            command.arg("-icount");
            command.arg(format!("shift=3,sleep=on,rr=record,rrfile={}", events.display()));
        }
        command.arg("-kernel").arg(elf);
        let errors = File::options().create(true).append(true).open(dir.join("qemu.log"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.expect("a log file"));
        let mut child = command.spawn().expect("QEMU can be started");
        let output = child.stdout.take().expect("its output is a pipe");
        let asked = Cell::new(log.len());
        let reader = Some(log.follow(code, output));
        Self { child, reader, monitor, log: log.clone(), asked }
    }

    /// Waits for a line with this text, after the one that was waited for last, and returns it.
    ///
    /// # Panics
    /// When it does not come within 30 s.
    pub fn says(&self, text: &str) -> String {
        self.says_within(PATIENCE, text)
    }

    /// As [`Board::says`], within so long.
    ///
    /// # Panics
    /// When it does not come.
    #[expect(clippy::panic, reason = "what a test does when something does not happen")]
    pub fn says_within(&self, longest: Duration, text: &str) -> String {
        match self.log.within(longest, self.asked.get(), text) {
            Some((number, line)) => {
                self.asked.set(number + 1);
                line
            }
            None => panic!("the board does not say {text:?}, only\n{}", self.log.text()),
        }
    }

    /// Whether it has said this since what was waited for last.
    #[must_use]
    pub fn has_said(&self, text: &str) -> bool {
        self.log.within(Duration::ZERO, self.asked.get(), text).is_some()
    }

    /// How many instructions it has executed since it was switched on.
    ///
    /// # Panics
    /// When it does not count them.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that counts needs a count")]
    pub fn instructions(&self) -> u64 {
        // Only an emulator that records tells; what it records is not needed.
        let told = self.tell("info replay");
        let (_, count) = told.rsplit_once("instruction count = ").expect("a count");
        let digits = count.split(|it: char| !it.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).expect("a number")
    }

    /// Tells the emulator something, `system_reset` say, and returns what it says to that.
    ///
    /// # Panics
    /// When it does not listen.
    #[expect(clippy::expect_used, clippy::panic, reason = "an emulator that is deaf is no test")]
    pub fn tell(&self, command: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut stream = loop {
            match UnixStream::connect(&self.monitor) {
                Ok(stream) => break stream,
                // It may just be starting.
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("the emulator has no monitor: {error}"),
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let prompt = b"(qemu) ";
        let mut heard = Vec::new();
        // Its greeting ends so, and so does what it says to a command.
        for line in [None, Some(command)] {
            if let Some(line) = line {
                writeln!(stream, "{line}").expect("the emulator listens");
            }
            heard.clear();
            let mut byte = [0];
            while !heard.ends_with(prompt) {
                stream.read_exact(&mut byte).expect("the emulator answers");
                heard.extend(byte);
            }
        }
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Pulls the cable out, or puts it in again.
    pub fn plug(&self, cable: bool) {
        self.tell(if cable { "set_link wire on" } else { "set_link wire off" });
    }

    /// A power cut, at whatever the firmware is just doing.
    pub fn cut(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What it has said to the last is in the log then.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.kill();
    }
}
