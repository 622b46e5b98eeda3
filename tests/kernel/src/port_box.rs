//! A router that opens ports on request: miniupnpd beside the NAT of a [`Lab`](crate::Lab)'s site,
//! speaking PCP and NAT-PMP.
//!
//! Its nftables edition redirects what comes in for a leased port, and leaves what goes out to the
//! router's own rules: behind `masquerade fully-random` a leased socket is seen at a drawn port.

use core::time::Duration;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use tempfile::TempDir;

use crate::netns::Namespace;

/// The chains in which it writes.
const CHAINS: &str = "table inet ports
delete table inet ports
table inet ports {
  chain accepted {
  }
  chain redirected {
  }
  chain masked {
  }
  chain forward {
    type filter hook forward priority filter - 1
    jump accepted
  }
  chain prerouting {
    type nat hook prerouting priority dstnat - 1
    jump redirected
  }
}
";

/// It gives out no ports where the address outside is none of the Internet's, and those of a laboratory
/// are not; this one is only named in answers.
const CONFIGURATION: &str = "ext_ifname=wan
ext_ip=9.9.9.9
listening_ip=lan
enable_natpmp=yes
enable_upnp=no
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000001
upnp_table_name=ports
upnp_nat_table_name=ports
upnp_forward_chain=accepted
upnp_nat_chain=redirected
upnp_nat_postrouting_chain=masked
allow 1024-65535 192.0.2.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
";

/// miniupnpd in a namespace with a `wan` and a `lan`. It ends when this is dropped.
#[derive(Debug)]
pub struct PortBox<'n> {
    child: Child,
    namespace: &'n Namespace,
    log: Receiver<String>,
    _dir: TempDir,
}

impl<'n> PortBox<'n> {
    /// Starts it, with no port open.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without the daemon there is nothing to test")]
    pub fn start(namespace: &'n Namespace) -> Self {
        let dir = TempDir::new().expect("a directory for its files");
        let file = |name: &str| dir.path().join(name);
        fs::write(file("conf"), CONFIGURATION).expect("a file in an own directory");
        namespace.run(&["nft", "-f", "-"], CHAINS);
        // It ends by itself when whoever runs the tests was killed.
        let spawned = namespace.within(|| {
            Command::new("timeout")
                .args(["-k", "1", "120", "miniupnpd", "-d", "-f"])
                .arg(file("conf"))
                .arg("-P")
                .arg(file("pid"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
        });
        let mut child = spawned.expect("miniupnpd is installed by tests/run kernel");
        let (sender, log) = mpsc::channel();
        let lines = child.stderr.take().map(|err| BufReader::new(err).lines());
        std::thread::spawn(move || {
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                // It writes on when nobody reads any more.
                let _ = sender.send(line);
            }
        });
        let this = Self { child, namespace, log, _dir: dir };
        this.wait_for("Listening for NAT-PMP/PCP");
        this
    }

    /// Waits for a line of its log.
    ///
    /// # Panics
    /// When it does not come within 10 s.
    #[expect(clippy::panic, reason = "what a test does when something does not happen")]
    pub fn wait_for(&self, text: &str) {
        let mut lines = Vec::new();
        loop {
            match self.log.recv_timeout(Duration::from_secs(10)) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => lines.push(line),
                Err(error) => panic!("no {text:?} ({error}), only\n{}", lines.join("\n")),
            }
        }
    }

    /// How many ports are open.
    #[must_use]
    pub fn open_ports(&self) -> usize {
        let chain = ["nft", "list", "chain", "inet", "ports", "redirected"];
        self.namespace.output(&chain, "").matches("dnat").count()
    }
}

impl Drop for PortBox<'_> {
    fn drop(&mut self) {
        // `timeout` passes it on; it may have ended.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").arg(id).status();
        let _ = self.child.wait();
    }
}
