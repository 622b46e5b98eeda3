//! What runs beside a board: its router's DHCP and DNS, and captures.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use genkan_kernel_tests::Namespace;

/// A process that ends with its home.
#[derive(Debug)]
pub(crate) struct Helper(Child);

impl Helper {
    /// It is told to read its files again.
    pub(crate) fn reads_again(&self) -> bool {
        let told = Command::new("kill").args(["-HUP", &self.0.id().to_string()]).status();
        told.is_ok_and(|status| status.success())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The router's own DNS, and DHCP where `net` is the network in which it gives addresses.
#[expect(clippy::expect_used, reason = "without it the board has no address")]
pub(crate) fn dnsmasq(router: &Namespace, dir: &Path, net: &str, more: &[&str]) -> Helper {
    let leases = dir.join("leases");
    let mut command = inside(router, "dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv"]);
    command.args(["--user=root", "--pid-file=", "--interface=lan", "--bind-interfaces"]);
    command.args(["--dhcp-authoritative", "--no-ping"]).args(more);
    if !net.is_empty() {
        command.arg(format!("--dhcp-range={net}.100,{net}.150,1h"));
    }
    command.arg(format!("--addn-hosts={}", dir.join("hosts").display()));
    command.arg(format!("--dhcp-leasefile={}", leases.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Helper(command.spawn().expect("dnsmasq can be started"))
}

/// Captures what passes an interface of the router.
#[expect(clippy::expect_used, reason = "a failure that cannot be understood helps nobody")]
pub(crate) fn capture(router: &Namespace, wire: &str, dir: &Path) -> Helper {
    let file: PathBuf = dir.join(format!("{wire}.pcap"));
    let mut command = inside(router, "tcpdump");
    command.args(["--immediate-mode", "-U", "-n", "-Z", "root", "-i", wire, "-w"]).arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("tcpdump can be started");
    let told = child.stderr.take().map(BufReader::new).into_iter().flat_map(BufReader::lines);
    let listens = told.map_while(Result::ok).any(|line| line.contains("listening on"));
    assert!(listens, "tcpdump does not listen on {wire}");
    Helper(child)
}

/// A command there that ends with the thread that starts it.
fn inside(namespace: &Namespace, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace.path()));
    command.args(["setpriv", "--pdeathsig", "KILL", program]);
    command
}
