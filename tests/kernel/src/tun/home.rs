//! Homes behind boxes, and the internet between them.
//!
//! ```text
//! 192.0.2.2, .3 ── wan ═ box ═ home1 ─┬─ 203.0.113.10 to .13
//!    home 1        203.0.113.1        │
//! 192.0.2.2, .3 ── wan ═ box ═ home2 ─┘
//!    home 2        203.0.113.2
//! ```
//!
//! `wan` and `home1` are tun devices: the one is the way out of a home's namespace, the other is in the
//! internet's, which routes between them.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

use genkan_sim::Rng;
use genkan_sim::nat::{Nat, NatConfig, Proto};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::gate::{Device, Gate, Tally};
use crate::netns::Namespace;
use crate::scenario::{A, B, Remote};

/// The longest packet that can come.
const MTU: usize = 1_500;

/// A namespace with the addresses of all [`Remote`]s, which routes between [`Home`]s.
#[derive(Debug)]
pub struct Internet {
    namespace: Namespace,
}

impl Internet {
    /// One without homes.
    ///
    /// # Panics
    /// When that is not possible here.
    #[must_use]
    pub fn new() -> Self {
        let namespace = Namespace::new();
        let addresses = (0..4).map(|host| Remote { host, six: false, port: 0 }.ip());
        let lines: Vec<String> = addresses.map(|ip| format!("addr add {ip}/32 dev lo")).collect();
        namespace.ip(&lines.join("\n"));
        namespace.set("net/ipv4/ip_forward", "1");
        namespace.set("net/ipv4/icmp_ratelimit", "0");
        Self { namespace }
    }

    /// Where servers and remotes are.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl Default for Internet {
    fn default() -> Self {
        Self::new()
    }
}

/// A namespace behind a box of its own. Both are gone when this is dropped.
pub struct Home {
    host: Namespace,
    address: Ipv4Addr,
    gate: Arc<Mutex<Gate>>,
    /// What the box is stopped by: it ends when this is closed.
    stop: Option<PipeWriter>,
    work: Option<JoinHandle<()>>,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Home {
    /// Home `number`, from 1 to 9: at 203.0.113.`number`, behind a box of these settings. `seed` is of
    /// all that the box draws.
    ///
    /// # Panics
    /// When that is not possible here.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without devices there is nothing to test")]
    pub fn new(internet: &Internet, number: u8, config: NatConfig, seed: u64) -> Self {
        let (host, name) = (Namespace::new(), format!("home{number}"));
        let address = Ipv4Addr::new(203, 0, 113, number);
        let nat = Nat::new(&[address.into()], config, Rng::new(seed));
        let own = Ipv4Addr::new(192, 0, 2, 1);
        let gate = Arc::new(Mutex::new(Gate::new(nat, own)));
        let devices = [device(&host, "wan"), device(internet.namespace(), &name)];
        host.ip(&format!(
            "addr add {}/32 dev wan
             addr add {}/32 dev wan
             route add default dev wan src {}",
            A.ip(),
            B.ip(),
            A.ip()
        ));
        internet.namespace().ip(&format!("route add {address}/32 dev {name}"));
        let (stopped, stop) = pipe().expect("a pipe");
        let work = spawn({
            let gate = Arc::clone(&gate);
            move || work(&gate, &devices, &stopped)
        });
        Self { host, address, gate, stop: Some(stop), work: Some(work) }
    }

    /// Where its hosts are: 192.0.2.2 and 192.0.2.3.
    #[must_use]
    pub const fn host(&self) -> &Namespace {
        &self.host
    }

    /// Its address in the internet.
    #[must_use]
    pub const fn external(&self) -> Ipv4Addr {
        self.address
    }

    /// How many packets of a transport came from a side.
    #[must_use]
    pub fn tally(&self, from: Device, proto: Proto) -> Tally {
        lock(&self.gate).tally(from, proto)
    }

    /// How many mappings stand.
    #[must_use]
    pub fn mappings(&self) -> usize {
        lock(&self.gate).nat.len()
    }

    /// From where a remote sees an inside socket, while that is mapped.
    #[must_use]
    pub fn mapped(&self, proto: Proto, inside: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        lock(&self.gate).nat.mapped(proto, inside, to)
    }

    /// The box forgets its mappings.
    pub fn reboot(&self) {
        lock(&self.gate).nat.reboot();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.work.take().map(JoinHandle::join);
        // A box that has panicked is a test that has failed, but for a panic that is under way.
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "a box has panicked");
    }
}

fn lock(gate: &Mutex<Gate>) -> MutexGuard<'_, Gate> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A tun device that is up.
#[expect(clippy::expect_used, reason = "without devices there is nothing to test")]
fn device(namespace: &Namespace, name: &str) -> SyncDevice {
    let device = namespace.within(|| DeviceBuilder::new().name(name).enable(false).build_sync());
    let device = device.expect("a tun device; /dev/net/tun is needed");
    device.set_nonblocking(true).expect("a device can be set not to block");
    namespace.ip(&format!("link set {name} mtu {MTU} up"));
    device
}

/// What the box does until it is stopped. Its clock begins now.
fn work(gate: &Mutex<Gate>, [inside, outside]: &[SyncDevice; 2], stopped: &PipeReader) {
    let (start, mut buffer) = (Instant::now(), [0; MTU]);
    while wait(inside, outside, stopped) {
        for (from, device) in [(Device::Inside, inside), (Device::Outside, outside)] {
            while let Ok(length) = device.recv(&mut buffer) {
                let onward = lock(gate).pass(start.elapsed(), from, buffer[..length].to_vec());
                let Some((side, packet)) = onward else { continue };
                // What cannot be sent is lost.
                let _ = match side {
                    Device::Inside => inside.send(&packet),
                    Device::Outside => outside.send(&packet),
                };
            }
        }
    }
}

/// Waits for a packet; `false`: it is time to stop.
fn wait(inside: &SyncDevice, outside: &SyncDevice, stopped: &PipeReader) -> bool {
    let readable = PollFlags::POLLIN;
    let mut all = [
        PollFd::new(stopped.as_fd(), readable),
        PollFd::new(inside.as_fd(), readable),
        PollFd::new(outside.as_fd(), readable),
    ];
    match poll(&mut all, PollTimeout::NONE) {
        Ok(_) => !all[0].any().unwrap_or(true),
        Err(error) => error == Errno::EINTR,
    }
}
