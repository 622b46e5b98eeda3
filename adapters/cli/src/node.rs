//! What `accept` and `connect` have in common: the server, whom to believe about it, which
//! addresses may be contacted.

use core::net::SocketAddr;
use std::io;
use std::thread::JoinHandle;

use genkan_core::punch::{Ability, Detector};
use genkan_core::{AddressClass, AddressPolicy, Anchors, ServerAddress};
use genkan_std::StartError;
use heapless::String as ShortString;

use crate::args::{PolicyArgs, Punch, PunchArgs, ServerArgs};
use crate::exit::{Failure, Outcome};
use crate::output::Output;

/// The inner port of the service that an appliance forwards.
pub(crate) const SERVICE: u16 = 1;

/// The server's address: the first that its name gives.
pub(crate) fn server(args: &ServerArgs) -> Result<SocketAddr, Failure> {
    let addresses = args.server.resolve()?;
    let first = addresses.into_iter().next();
    first.ok_or_else(|| Failure::unreachable(format!("{} has no address", args.server)))
}

/// The same address for UDP and TCP.
pub(crate) const fn both(server: SocketAddr) -> ServerAddress {
    ServerAddress { datagram: server, stream: server }
}

/// Whom to believe about the server.
pub(crate) fn anchors(args: &ServerArgs, floor: u64) -> Result<Anchors, Failure> {
    let authorities = args.authorities.iter().map(|key| key.0).collect::<Vec<_>>();
    let authorities = heapless::Vec::from_slice(&authorities)
        .map_err(|_| Failure::usage("at most two authorities: the current one and the next"))?;
    let name = match &args.server_name {
        None => None,
        Some(name) => Some(
            ShortString::try_from(name.as_str())
                .map_err(|_| Failure::usage("the server's name is longer than 80 characters"))?,
        ),
    };
    Ok(Anchors { authorities, name, min_serial: 0, floor })
}

/// Which addresses may be contacted. A server on this machine or in a private network says that
/// this is a laboratory, so such addresses are then allowed, and the user is told.
pub(crate) fn policy(args: PolicyArgs, server: SocketAddr, output: &Output) -> AddressPolicy {
    let class = AddressClass::of(server.ip());
    let mut policy = AddressPolicy {
        loopback: args.allow_loopback,
        private: args.allow_private,
        low_ports: false,
    };
    if class == AddressClass::Loopback && !policy.loopback {
        policy.loopback = true;
        output.note("note: the server is on this machine, so peers on it are allowed too");
    }
    let private = matches!(class, AddressClass::Private | AddressClass::LinkLocal);
    if private && !policy.private {
        policy.private = true;
        output.note(
            "note: the server's address is private, so peers at private ones are allowed too",
        );
    }
    policy
}

/// What this end can do to punch UDP holes. Many guesses are the user's word, and the user is told
/// what it means.
pub(crate) fn ability(args: PunchArgs, output: &Output) -> Option<Ability> {
    let detector = match args.punch {
        Punch::No => return None,
        Punch::Server => Detector::Server,
        Punch::Equipment => Detector::Equipment,
    };
    let mut limits = Ability::LARGE.limits;
    let usual = limits.guesses;
    limits.guesses = args.max_guesses.unwrap_or(usual);
    if limits.guesses > usual {
        output.note(format!(
            "note: up to {} ports of a peer's NAT are tried for one connection; whoever runs that \
             network may take it for a port scan",
            limits.guesses
        ));
    }
    Some(Ability { limits, detector })
}

/// A node did not start.
pub(crate) fn cannot_start(error: StartError) -> Failure {
    match error {
        StartError::File(error) => error.into(),
        other => Failure::other(other.to_string()),
    }
}

/// How the thread ended that stopped a node.
pub(crate) fn stopped(stopper: JoinHandle<io::Result<()>>) -> Outcome {
    match stopper.join() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::other(format!("the node ended: {error}"))),
        Err(_) => Err(Failure::other("the node could not be stopped")),
    }
}

/// A server did not start, most likely because its port is taken.
pub(crate) fn cannot_bind(error: StartError, bind: SocketAddr) -> Failure {
    match error {
        StartError::Io(error) => Failure::other(format!("cannot listen on {bind}: {error}")),
        other => cannot_start(other),
    }
}

/// The server shows a certificate that must not be believed.
pub(crate) fn wrong_certificate() -> Failure {
    Failure::keys(
        "the server's certificate is not by this authority, not for this name, or not valid now",
    )
    .hint("compare --authority and --server-name with what `genkan serve` prints")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_s_ability_is_the_large_one_unless_told_otherwise() {
        let output = Output::new(false);
        let of = |punch, max_guesses| {
            let port_mapping = genkan_std::LeaseMode::Off;
            ability(PunchArgs { punch, max_guesses, port_mapping }, &output)
        };
        assert_eq!(of(Punch::Server, None), Some(Ability::LARGE));
        assert_eq!(of(Punch::No, Some(5)), None);
        let own = of(Punch::Equipment, Some(0)).unwrap();
        assert_eq!((own.detector, own.limits.guesses), (Detector::Equipment, 0));
        assert_eq!(own.limits.sockets, 255);
    }

    #[test]
    fn a_server_s_own_address_widens_the_policy_by_its_own_kind_only() {
        let output = Output::new(false);
        let of = |server: &str| {
            let policy = policy(PolicyArgs::default(), server.parse().unwrap(), &output);
            (policy.loopback, policy.private)
        };
        assert_eq!(of("127.0.0.1:1"), (true, false));
        assert_eq!(of("[::1]:1"), (true, false));
        assert_eq!(of("192.168.1.2:1"), (false, true));
        assert_eq!(of("[fe80::1]:1"), (false, true));
        assert_eq!(of("198.51.100.7:1"), (false, false));
    }
}
