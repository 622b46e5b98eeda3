//! The server's other UDP ends, by which it sees what NATs do: as the command line gives them, and in
//! words.

use core::net::{IpAddr, SocketAddr};

use genkan_core::ServerConfig;
use genkan_std::{OtherPort, ServerNode, ServerOptions};

use super::Args;
use crate::args::PORT;
use crate::events::Event;
use crate::exit::{Failure, Outcome};
use crate::output::Output;

/// `PORT[=PUBLIC]` or `none`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Port {
    open: OtherPort,
    public: Option<u16>,
}

/// `ADDRESS[:PORT][=PUBLIC[:PORT]]`; port 0 where none is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Address {
    open: SocketAddr,
    public: Option<SocketAddr>,
}

/// What is before and after the equals sign.
fn halves(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(open, public)| (open, Some(public)))
}

pub(super) fn port(text: &str) -> Result<Port, String> {
    if text == "none" {
        return Ok(Port { open: OtherPort::None, public: None });
    }
    let number = |text: &str| match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err("it must be 1 to 65535, or none".to_owned()),
    };
    let (open, public) = halves(text);
    Ok(Port { open: OtherPort::At(number(open)?), public: public.map(number).transpose()? })
}

pub(super) fn address(text: &str) -> Result<Address, String> {
    let one = |text: &str| {
        let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
        let address = text.parse().or_else(|_| alone());
        address.map_err(|_| "it must be an address, with or without port".to_owned())
    };
    let (open, public) = halves(text);
    let (open, public) = (one(open)?, public.map(one).transpose()?);
    if public.is_some_and(|public| public.is_ipv4() != open.is_ipv4()) {
        return Err("both addresses must be IPv4, or both IPv6".into());
    }
    Ok(Address { open, public })
}

/// What can be said before anything is opened.
pub(super) fn check(args: &Args) -> Outcome {
    if args.other_address.is_none() {
        return Ok(());
    }
    if args.other_port.is_some_and(|port| port.open == OtherPort::None) {
        return Err(Failure::usage("--other-address is of use only with a second port"));
    }
    if args.bind.is_none_or(|bind| bind.ip().is_unspecified()) {
        return Err(Failure::usage("--other-address needs --bind with the first address")
            .hint(format!("--bind ADDRESS:{PORT}, with an address of this machine")));
    }
    Ok(())
}

/// What equipment is to be told, where it is not what is opened here.
pub(super) fn announce(args: &Args, config: &mut ServerConfig) {
    config.other_port = args.other_port.and_then(|port| port.public);
    config.other_address = args.other_address.and_then(|address| address.public);
}

/// What is opened.
pub(super) fn open(args: &Args, options: &mut ServerOptions) {
    options.other_port = args.other_port.map_or(OtherPort::Next, |port| port.open);
    options.other_address = args.other_address.map(|address| address.open);
}

/// By what it sees NATs, in words.
pub(super) fn words(node: &ServerNode) -> String {
    match (node.other_port(), node.other_address()) {
        (None, _) => "not at all: without a second port nobody meets over UDP".into(),
        (Some(port), None) => format!("by UDP port {port} as well"),
        (Some(port), Some(address)) => format!("by UDP port {port} and {address} as well"),
    }
}

/// Tells who opened the next port in a firewall that it is another one.
pub(super) fn warn(args: &Args, node: &ServerNode, output: &Output) {
    let chosen = args.bind.is_none_or(|bind| bind.port() != 0);
    let wanted = node.local_addr().port().checked_add(1);
    let Some(port) = node.other_port().filter(|&port| Some(port) != wanted) else { return };
    if !chosen || args.other_port.is_some() {
        return;
    }
    let taken = match wanted {
        Some(wanted) => format!("UDP port {wanted} is taken"),
        None => "there is no port after the first".into(),
    };
    output.note(format!(
        "warning: {taken}; the second port is {port}, another one after each start: open it in the \
         firewall, or choose one with --other-port"
    ));
    let event = Event::new("other-port-taken").with("wanted", wanted).with("port", port);
    output.json(&event.into_value());
}

/// Nothing comes in at the second port.
pub(super) fn unheard(port: u16, measurements: u8, output: &Output) {
    output.note(format!(
        "warning: {measurements} NATs were looked at, and nothing came in at UDP port {port}: is it \
         open in the firewall?"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_may_be_known_by_another_number() {
        let public = |text| port(text).map(|port| (port.open, port.public));
        assert_eq!(public("none"), Ok((OtherPort::None, None)));
        assert_eq!(public("7"), Ok((OtherPort::At(7), None)));
        assert_eq!(public("7=9"), Ok((OtherPort::At(7), Some(9))));
        for wrong in ["0", "7=0", "none=7", "7=", "=7", "7=none", ""] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
        let of = |text| address(text).map(|it| (it.open.to_string(), it.public));
        assert_eq!(of("10.0.0.5"), Ok(("10.0.0.5:0".into(), None)));
        let both = of("10.0.0.5:7=203.0.113.5").unwrap();
        assert_eq!(both, ("10.0.0.5:7".into(), Some(([203, 0, 113, 5], 0).into())));
        assert_eq!(of("[fd00::1]:7=2001:db8::1").unwrap().0, "[fd00::1]:7");
        for wrong in ["10.0.0.5=2001:db8::1", "=10.0.0.5", "10.0.0.5=", "host", ""] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
