//! A server's further UDP sockets, by which NATs are measured: another port, and perhaps another
//! address.

use core::net::SocketAddr;
use std::io;

use genkan_core::{ServerConfig, SocketId, canonical};
use mio::net::UdpSocket;

use super::open::StartError;
use crate::net::{Bind, Net, udp};

/// A server's second UDP port, on the address of the first. Without one NATs are not measured, and
/// nobody is helped to punch holes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OtherPort {
    /// None.
    None,
    /// The number after the main port; where that is taken, one of the system's choice.
    #[default]
    Next,
    /// This one.
    At(u16),
}

/// Opens them and tells the configuration, unless that says already how equipment reaches them.
pub(super) fn open(
    net: &mut Net,
    config: &mut ServerConfig,
    port: OtherPort,
    address: Option<SocketAddr>,
) -> Result<(), StartError> {
    let main = net.local()?;
    let Some(other) = other_port(main, port)? else {
        (config.other_port, config.other_address) = (None, None);
        if address.is_some() {
            let text = "a second address is of use only with a second port";
            return Err(StartError::Config(text.into()));
        }
        return Ok(());
    };
    config.other_port.get_or_insert(other.local_addr()?.port());
    net.add(SocketId::OTHER_PORT, other)?;
    let Some(address) = address else {
        config.other_address = None;
        return Ok(());
    };
    let other = other_address(main, canonical(address))?;
    let bound = canonical(other.local_addr()?);
    let told = config.other_address.get_or_insert(bound);
    if told.port() == 0 {
        told.set_port(bound.port());
    }
    if told.is_ipv4() != bound.is_ipv4() || told.ip().is_unspecified() {
        let text = format!("{} is not how {} is reached", told.ip(), bound.ip());
        return Err(StartError::Config(text));
    }
    net.add(SocketId::OTHER_ADDRESS, other)?;
    Ok(())
}

fn other_port(main: SocketAddr, wanted: OtherPort) -> Result<Option<UdpSocket>, StartError> {
    let at = |port| SocketAddr::new(main.ip(), port);
    match wanted {
        OtherPort::None => Ok(None),
        OtherPort::At(port) => bound(at(port)).map(Some),
        OtherPort::Next => match main.port().checked_add(1).map(at).map(bound) {
            Some(Ok(socket)) => Ok(Some(socket)),
            Some(Err(_)) | None => bound(at(0)).map(Some),
        },
    }
}

/// Port 0: the main one's where that is free, else one of the system's choice.
fn other_address(main: SocketAddr, address: SocketAddr) -> Result<UdpSocket, StartError> {
    let own = canonical(main);
    let refused = |text| Err(StartError::Config(text));
    // Otherwise the second one may be the first one too, and a NAT would look better than it is.
    if own.ip().is_unspecified() {
        return refused("with a second address, the first must be a single one, too".into());
    }
    if address.ip().is_unspecified() || address.ip() == own.ip() {
        return refused(format!("{} is not a second address", address.ip()));
    }
    if address.is_ipv4() != own.is_ipv4() {
        return refused(format!("{} and {} are of different families", address.ip(), own.ip()));
    }
    if address.port() != 0 {
        return bound(address);
    }
    bound(SocketAddr::new(address.ip(), main.port())).or_else(|_| bound(address))
}

fn bound(address: SocketAddr) -> Result<UdpSocket, StartError> {
    let failed = |error: io::Error| StartError::OtherEnd { address, error };
    udp(Bind::At(address)).map_err(failed)
}
