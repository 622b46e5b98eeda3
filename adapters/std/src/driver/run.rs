//! The loop itself: when to turn, when to stop.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use genkan_core::{Instant, MAX_FRAME, Machine, SocketId};

use super::control::{Control, Job};
use super::desk::Journal;
use super::{Desk, Role};
use crate::clock::Clock;
use crate::lease::{HEAD_START, LeaseMode, LeaseNews, Leaser};
use crate::net::{Bind, Net};

/// How much is read from a stream at once, and the largest datagram that is told from a longer one.
pub(super) const ROOM: usize = 16 << 10;
/// How long farewells may take to leave.
const LEAVE: Duration = Duration::from_secs(1);
/// The shortest wait when a deadline has passed that the machine should have dealt with: a defect
/// there must not become a busy loop here.
const FLOOR: Duration = Duration::from_millis(1);

/// What a loop is made of.
#[derive(Debug)]
pub(crate) struct Parts<R: Role> {
    pub(crate) role: R,
    pub(crate) net: Net,
    pub(crate) control: Arc<Control>,
    pub(crate) journal: Journal<R::Event>,
    /// Where to listen when the machine wants to.
    pub(crate) listen: Bind,
    /// The address that the machine is told to have, where it is known.
    pub(crate) local: Option<SocketAddr>,
    /// Whether the box before this machine is asked for a port.
    pub(crate) lease: LeaseMode,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Running,
    /// Sessions may finish until then.
    Finishing(Instant),
    /// Farewells may leave until then.
    Leaving(Instant),
}

pub(crate) struct Loop<R: Role> {
    pub(super) role: R,
    pub(super) net: Net,
    pub(super) journal: Journal<R::Event>,
    pub(super) listen: Bind,
    /// Everything that arrives is read into this.
    pub(super) room: Box<[u8; ROOM]>,
    /// Everything that leaves is written here first.
    pub(super) scratch: Box<[u8; MAX_FRAME]>,
    clock: Clock,
    control: Arc<Control>,
    jobs: Receiver<Job<R>>,
    local: Option<SocketAddr>,
    lease: LeaseMode,
    leaser: Option<Leaser>,
    stage: Stage,
}

impl<R: Role> Loop<R> {
    pub(super) fn new(parts: Parts<R>, jobs: Receiver<Job<R>>) -> Self {
        Self {
            role: parts.role,
            net: parts.net,
            journal: parts.journal,
            listen: parts.listen,
            room: Box::new([0; ROOM]),
            scratch: Box::new([0; MAX_FRAME]),
            clock: Clock::new(),
            control: parts.control,
            jobs,
            local: parts.local,
            lease: parts.lease,
            leaser: None,
            stage: Stage::Running,
        }
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        self.begin_lease()?;
        if let Some(local) = self.local {
            let now = self.clock.now();
            self.role.machine().handle_bound(now, SocketId::MAIN, Some(local));
        }
        self.drain(self.clock.now());
        while !self.turn()? {}
        Ok(())
    }

    /// Asks the box for a port, where that is wanted, and lets it answer before anything is sent.
    fn begin_lease(&mut self) -> io::Result<()> {
        let begun = self.clock.now();
        match Leaser::new(begun, self.lease, self.local, &self.net) {
            Ok(leaser) => self.leaser = leaser,
            Err(error) => self.journal.trouble(begun, format!("no port mapping: {error}")),
        }
        let until = begun.after(HEAD_START);
        while let Some(leaser) = &mut self.leaser {
            let now = self.clock.now();
            leaser.turn(now);
            if leaser.is_settled() || now >= until || self.control.stop_wanted().is_some() {
                self.tell_lease(now);
                // What was asked for meanwhile is done at once.
                self.control.nudge.clear();
                self.control.nudge.wake();
                break;
            }
            let wait = leaser.deadline(now).map_or(until, |due| due.min(until));
            self.net.wait(Some(wait.since(now)))?;
        }
        Ok(())
    }

    /// The box's answers, and what is due to be asked.
    fn lease(&mut self, now: Instant) {
        let come = self.net.take_aside();
        let Some(leaser) = &mut self.leaser else { return };
        if come || leaser.deadline(now).is_some_and(|at| at <= now) {
            leaser.turn(now);
            self.tell_lease(now);
        }
    }

    fn tell_lease(&mut self, now: Instant) {
        let Some(news) = self.leaser.as_mut().and_then(|leaser| leaser.news(now)) else { return };
        let port = match news {
            LeaseNews::Granted(lease) => Some(lease.port),
            LeaseNews::Refused(_) | LeaseNews::Lost => None,
        };
        self.role.leased(now, port);
        self.journal.lease(now, news);
    }

    /// One turn; says whether it was the last one.
    fn turn(&mut self) -> io::Result<bool> {
        let timeout = self.timeout(self.clock.now());
        self.net.wait(timeout)?;
        self.control.nudge.clear();
        self.control.count_turn();
        let now = self.clock.now();
        while let Ok(job) = self.jobs.try_recv() {
            job(&mut self.role, now);
            self.settle(now);
        }
        if self.role.machine().poll_timeout().is_some_and(|wakeup| wakeup.at <= now) {
            self.role.machine().handle_timeout(now);
            self.settle(now);
        }
        self.lease(now);
        self.datagrams(now);
        self.callers(now);
        self.changes(now);
        self.streams(now);
        self.role.pump(now, &mut Desk { net: &mut self.net, journal: &self.journal });
        self.drain(now);
        Ok(self.advance(now))
    }

    /// How long to wait. Nothing to wait for is `None`: another thread or a packet ends the wait.
    fn timeout(&mut self, now: Instant) -> Option<Duration> {
        if self.net.has_more(now) || self.role.has_more() {
            return Some(Duration::ZERO);
        }
        let stop = match self.stage {
            Stage::Running if self.control.stop_wanted().is_some() => Some(now),
            Stage::Running => None,
            Stage::Finishing(until) | Stage::Leaving(until) => Some(until),
        };
        let machine = self.role.machine().poll_timeout().map(|wakeup| wakeup.at);
        let lease = self.leaser.as_ref().and_then(|leaser| leaser.deadline(now));
        let all = [stop, machine, lease, self.role.deadline(), self.net.deadline()];
        let next = all.into_iter().flatten().min()?;
        Some(next.since(now).max(FLOOR))
    }

    /// Moves towards the end, where one is wanted.
    fn advance(&mut self, now: Instant) -> bool {
        match (self.stage, self.control.stop_wanted()) {
            (Stage::Running, Some(grace)) => {
                self.role.finish(grace);
                self.stage = Stage::Finishing(now.after(grace));
                self.advance(now)
            }
            (Stage::Finishing(until), _) if self.role.is_finished() || now >= until => {
                while self.role.end(now) {
                    self.drain(now);
                }
                self.drain(now);
                if let Some(leaser) = &mut self.leaser {
                    leaser.end(now);
                }
                self.stage = Stage::Leaving(now.after(LEAVE));
                self.advance(now)
            }
            (Stage::Leaving(until), _) => now >= until || self.net.is_flushed(),
            _ => false,
        }
    }
}

impl<R: Role> Drop for Loop<R> {
    /// Also when the thread panics: nobody may wait for it for ever.
    fn drop(&mut self) {
        self.role.lost();
        self.journal.end();
    }
}
