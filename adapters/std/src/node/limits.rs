//! How many sockets a node may open for holes: what the process's limit of open files leaves.
//!
//! A burst may open as many sockets for each connection as the node has announced. Where the process
//! runs out of descriptors meanwhile, no TCP connection can be made or taken either; so it announces
//! no more than is left when everything else that it may need is open.

use genkan_core::punch::Ability;

/// What a node holds open whatever it does (its sockets, the poll, state, a measurement's two), and a
/// small application around it.
const SPARE: u64 = 64;
/// What a connection holds open beside its streams: listener, TCP connection and one to come.
const EACH: u64 = 3;
/// What the soft limit is raised to: enough for 8 connections of 255 sockets, and a busy server.
#[cfg(unix)]
const WANTED: u64 = 8_192;

/// Raises this process's soft limit of open files to 8,192, or to the hard one where that is lower.
/// A node announces as many sockets for holes as the limit allows at its start: with 1,024, the
/// usual one, about 50 for each of 8 connections. Does nothing where it is as high already, and on
/// systems without such a limit.
pub fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
        if limit.current.is_some_and(|now| now < wanted) {
            limit.current = Some(wanted);
            // Otherwise fewer sockets are announced.
            let _ = setrlimit(Resource::Nofile, limit);
        }
    }
}

/// What a node with so many connections of so many streams may announce.
pub(super) fn bounded(ability: Ability, connections: u16, streams: u16) -> Ability {
    let mut bounded = ability;
    let most = share(open_files(), connections, streams);
    bounded.limits.sockets = bounded.limits.sockets.min(most);
    bounded
}

/// The soft limit of open files, where there is one.
fn open_files() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// How many sockets each connection may have. The application is taken to hold one descriptor for
/// each stream.
fn share(limit: Option<u64>, connections: u16, streams: u16) -> u8 {
    let Some(limit) = limit else { return u8::MAX };
    let connections = u64::from(connections);
    let others = SPARE + connections * (EACH + u64::from(streams));
    let left = limit.saturating_sub(others).checked_div(connections);
    u8::try_from(left.unwrap_or(0)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_burst_takes_what_the_rest_needs() {
        assert_eq!(share(None, 8, 64), 255);
        assert_eq!(share(Some(1 << 20), 8, 64), 255);
        assert_eq!(share(Some(1_024), 8, 64), 53);
        assert_eq!(share(Some(256), 8, 64), 0);
        assert_eq!(share(Some(1_024), 0, 64), 0);
        for (limit, connections, streams) in [(1_024, 8, 64), (4_096, 8, 64), (400, 2, 8)] {
            let all = u64::from(share(Some(limit), connections, streams)) + EACH;
            let used = SPARE + u64::from(connections) * (all + u64::from(streams));
            assert!(used <= limit, "{used} of {limit}");
        }
    }
}
