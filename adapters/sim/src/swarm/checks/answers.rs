//! I-4, I-5: what is sent in answer to what.

use core::net::SocketAddr;

use genkan_core::wire::Kind;

use super::lately::Lately;
use super::roster::{Role, Roster};
use super::{Broken, Input, Seen, Verdict};

/// What came from a source, and what went there.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    packets: i64,
    bytes: i64,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    balances: Lately<SocketAddr, Balance>,
    /// Sources from which something came that only the holder of a session can make.
    proven: Lately<SocketAddr, ()>,
}

impl Answers {
    pub(super) fn restarted(&mut self) {
        self.balances.clear();
        self.proven.clear();
    }

    pub(super) fn turn(&mut self) {
        self.balances.turn();
        self.proven.turn();
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.balances.len() + self.proven.len()
    }

    pub(super) fn check(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        let input = seen.input.filter(|input| input.over.is_none());
        if let Some(input) = input {
            no_answers(roster, seen, input)?;
        }
        if seen.role == Role::Server { self.balance(seen, input) } else { Ok(()) }
    }

    /// I-4: an address that has proven nothing gets no more than it sent.
    fn balance(&mut self, seen: &Seen<'_>, input: Option<&Input>) -> Verdict {
        if let Some(input) = input {
            let sealed = matches!(input.kind, Some(Kind::Keepalive | Kind::Echo | Kind::Transport));
            if sealed && input.author.is_some() && seen.is_taken() {
                self.proven.insert(input.source, ());
                self.balances.remove(&input.source);
            } else if !self.proven.contains(&input.source) {
                let balance = self.balances.hold(input.source, Balance::default());
                balance.packets += 1;
                balance.bytes += i64::try_from(input.len).unwrap_or(i64::MAX);
            }
        }
        for (to, bytes) in seen.datagrams().filter(|(to, _)| !self.proven.contains(to)) {
            let balance = self.balances.hold(to, Balance::default());
            balance.packets -= 1;
            balance.bytes -= i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            if balance.packets < 0 || balance.bytes < 0 {
                let kind = Kind::of(bytes);
                let what = format!("{to} has proven nothing and gets {kind:?}: {balance:?}");
                return Err(Broken::new("I-4", what));
            }
        }
        Ok(())
    }
}

/// I-5: errors and servers' messages are not answered.
fn no_answers(roster: &Roster, seen: &Seen<'_>, input: &Input) -> Verdict {
    // A timer that was due at this moment has its own reasons.
    if seen.call.was_due {
        return Ok(());
    }
    let server = seen.role == Role::Server;
    // What only servers send is nothing for a server, and for equipment nothing else is but what its
    // peer says.
    let of_peer = |kind| {
        seen.role == Role::Acceptor && matches!(kind, Kind::IssuerPunch | Kind::IssuerTransport)
    };
    let wrong_way = input.kind.is_some_and(|kind| kind.is_downward() == server && !of_peer(kind));
    for (to, bytes) in seen.datagrams() {
        let kind = Kind::of(bytes).ok();
        let error = matches!(kind, Some(Kind::Cookie | Kind::Challenge | Kind::Hint));
        let allowed = !seen.discarded || (server && error && to == input.source);
        if !allowed || wrong_way {
            let name = roster.member(seen.call.host).map_or("the server", |member| &member.name);
            let what = format!("{name} answers {:?} with {kind:?} to {to}", input.kind);
            return Err(Broken::new("I-5", what));
        }
    }
    Ok(())
}
