//! Who is in the world, and who may do what: the truth that machines are held against.

use core::net::SocketAddr;

use genkan_core::{EquipmentId, StaticKey};

use crate::net::HostId;

/// What a host runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::swarm) enum Role {
    Server,
    Acceptor,
    Issuer,
}

/// Whom an acceptor admits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::swarm) struct Door {
    pub(in crate::swarm) open: bool,
    pub(in crate::swarm) password: bool,
    /// The first two issuers.
    pub(in crate::swarm) paired: bool,
}

/// A device.
#[derive(Debug)]
pub(in crate::swarm) struct Member {
    pub(in crate::swarm) host: HostId,
    pub(in crate::swarm) role: Role,
    pub(in crate::swarm) id: EquipmentId,
    pub(in crate::swarm) key: StaticKey,
    pub(in crate::swarm) name: String,
    pub(in crate::swarm) door: Door,
    /// An issuer that acceptors with a pairing list have on it.
    pub(in crate::swarm) paired: bool,
}

/// Everybody.
#[derive(Debug)]
pub(in crate::swarm) struct Roster {
    pub(in crate::swarm) server: HostId,
    /// The server's addresses, for IPv4 and IPv6.
    pub(in crate::swarm) addresses: [SocketAddr; 2],
    /// All its ends, those on another port and address included.
    pub(in crate::swarm) ends: Vec<SocketAddr>,
    pub(in crate::swarm) server_key: Option<StaticKey>,
    /// The one certificate that the authority has made.
    pub(in crate::swarm) certificate: Vec<u8>,
    pub(in crate::swarm) members: Vec<Member>,
    issuers: usize,
}

impl Roster {
    pub(in crate::swarm) fn new(
        server: HostId,
        (server_key, certificate): (Option<StaticKey>, Vec<u8>),
        addresses: [SocketAddr; 2],
        others: &[SocketAddr],
    ) -> Self {
        let ends = addresses.iter().chain(others).copied().collect();
        Self { server, addresses, ends, server_key, certificate, members: Vec::new(), issuers: 0 }
    }

    pub(in crate::swarm) fn acceptor(
        &mut self,
        host: HostId,
        key: Option<StaticKey>,
        name: &str,
        door: Door,
    ) {
        self.add(host, Role::Acceptor, key, (name, door, false));
    }

    pub(in crate::swarm) fn issuer(&mut self, host: HostId, key: Option<StaticKey>, name: &str) {
        let thief = name == "thief";
        let paired = !thief && self.issuers < 2;
        self.issuers += usize::from(!thief);
        self.add(host, Role::Issuer, key, (name, Door::default(), paired));
    }

    fn add(
        &mut self,
        host: HostId,
        role: Role,
        key: Option<StaticKey>,
        (name, door, paired): (&str, Door, bool),
    ) {
        let Some(key) = key else { return };
        let (id, name) = (key.id(), name.to_owned());
        self.members.push(Member { host, role, id, key, name, door, paired });
    }

    pub(in crate::swarm) fn member(&self, host: HostId) -> Option<&Member> {
        self.members.iter().find(|member| member.host == host)
    }

    pub(in crate::swarm) fn holder(&self, id: &EquipmentId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    pub(in crate::swarm) fn acceptors(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == Role::Acceptor)
    }

    pub(in crate::swarm) fn role(&self, host: HostId) -> Option<Role> {
        if host == self.server {
            return Some(Role::Server);
        }
        self.member(host).map(|member| member.role)
    }

    pub(in crate::swarm) fn door(&self, host: HostId) -> Door {
        self.member(host).map(|member| member.door).unwrap_or_default()
    }
}
