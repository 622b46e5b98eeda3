//! The server's name: whom to ask for it, and for how long.
//!
//! smoltcp asks each name server for ten seconds before it turns to the next. Here each has a second and a
//! half, one after the other, and when none has answered twice as long, then four times: so a server
//! that is dead costs no more than that, and one that is slow is heard all the same.

use core::time::Duration;

use genkan_core::Instant;
use heapless::Vec;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::dns;
use smoltcp::wire::{DnsQueryType, IpAddress};

use crate::server::Answers;

/// After this long another answer is asked for, when somebody has said that there is none.
const RETRY: Duration = Duration::from_secs(2);
/// How long the first try of each name server lasts: longer than the second in which the stack looks for no
/// other neighbour. How often that doubles: no longer than the stack's own ten seconds.
const PATIENCE: Duration = Duration::from_millis(1_500);
const DOUBLED: u32 = 2;
/// Name servers that are asked by turns: three of a DHCP lease and two of a router.
pub const SERVERS: usize = 5;

/// Which addresses the device has, and therefore which ones of the server it can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Families {
    /// One of IPv4.
    pub four: bool,
    /// One of IPv6.
    pub six: bool,
}

/// Looks a name up.
pub struct Names {
    socket: SocketHandle,
    /// Whom to ask.
    pub servers: Vec<IpAddress, SERVERS>,
    /// Tries since an answer; says whose turn it is, too.
    tries: u32,
    /// How often in a row there was said to be no such address.
    refusals: u32,
    /// What was asked, and how long it is waited for.
    query: Option<(dns::QueryHandle, Instant)>,
    /// A name shall be looked up, then.
    wanted: Option<Instant>,
    /// The name's addresses; for the application to take.
    pub found: Option<Answers>,
}

impl Names {
    /// Nobody to ask yet.
    pub fn new(
        sockets: &mut SocketSet<'static>,
        queries: &'static mut [Option<dns::DnsQuery>],
    ) -> Self {
        Self {
            socket: sockets.add(dns::Socket::new(&[], queries)),
            servers: Vec::new(),
            tries: 0,
            refusals: 0,
            query: None,
            wanted: None,
            found: None,
        }
    }

    /// Looks a name up as soon as there is a network; tried until it succeeds.
    pub fn look_up(&mut self, now: Instant) {
        self.wanted = Some(now);
    }

    /// When to poll again at the latest, of those times that the stack does not know.
    pub fn deadline(&self) -> Instant {
        let until = self.query.as_ref().map(|(_, until)| *until);
        until.or(self.wanted).unwrap_or(Instant::END)
    }

    /// Asks for the name, and takes the answer; whether something has changed.
    pub fn poll(
        &mut self,
        now: Instant,
        host: &str,
        families: Families,
        iface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> bool {
        let dns = sockets.get_mut::<dns::Socket<'_>>(self.socket);
        let Some((query, until)) = self.query else {
            let due = self.wanted.take_if(|at| *at <= now).is_some();
            if due {
                self.ask(now, host, families, iface, dns);
            }
            return due;
        };
        match dns.get_query_result(query) {
            Err(dns::GetQueryResultError::Pending) if now < until => return false,
            Err(dns::GetQueryResultError::Pending) => {
                dns.cancel_query(query);
                self.tries = self.tries.saturating_add(1);
                self.wanted = Some(now);
            }
            Ok(found) => {
                defmt::info!("{=str} is {}", host, found);
                self.found = Some(found.into_iter().map(Into::into).collect());
                self.answered();
                self.refusals = 0;
            }
            Err(dns::GetQueryResultError::Failed) => {
                defmt::warn!("{=str} is not found; trying on", host);
                self.answered();
                self.tries = self.tries.saturating_add(1);
                self.refusals = self.refusals.wrapping_add(1);
                self.wanted = Some(now.after(RETRY));
            }
        }
        self.query = None;
        true
    }

    /// Whoever has answered is asked first the next time.
    fn answered(&mut self) {
        self.tries = self.tries.checked_rem(self.servers.len() as u32).unwrap_or(0);
    }

    fn ask(
        &mut self,
        now: Instant,
        host: &str,
        families: Families,
        iface: &mut Interface,
        dns: &mut dns::Socket<'static>,
    ) {
        // As in a URL, an IPv6 address has brackets.
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            self.found = Some(Answers::from_iter([address]));
            return;
        }
        // IPv4 first: every user has that in some way. By turns, when there is no such address.
        let six = families.six && (!families.four || self.refusals % 2 == 1);
        let kind = if six { DnsQueryType::Aaaa } else { DnsQueryType::A };
        let count = self.servers.len() as u32;
        let place = self.tries.checked_rem(count).unwrap_or(0) as usize;
        dns.update_servers(self.servers.get(place..=place).unwrap_or_default());
        let round = self.tries.checked_div(count).unwrap_or(0).min(DOUBLED);
        match dns.start_query(iface.context(), host, kind) {
            Ok(query) => self.query = Some((query, now.after(PATIENCE * (1 << round)))),
            Err(error) => {
                let error = defmt::Debug2Format(&error);
                defmt::warn!("{=str} cannot be asked for: {}; trying on", host, error);
                self.wanted = Some(now.after(RETRY));
            }
        }
    }
}
