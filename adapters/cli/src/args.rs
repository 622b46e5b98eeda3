//! The command line: what all commands share, and the list of them.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

use anstream::ColorChoice;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use genkan_std::LeaseMode;

use crate::authority_key::AuthorityKey;
use crate::commands;
use crate::demo;
use crate::exit::{self, Failure};

/// The server's port where none is given: "GK" in ASCII.
pub(crate) const PORT: u16 = 18_251;

/// Reach a home appliance behind a NAT, directly and end to end encrypted.
#[derive(Debug, Parser)]
#[command(name = "genkan", version, after_help = exit::HELP, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_display_order = 900)]
pub(crate) struct Global {
    /// Print one JSON object per line, for programs; on standard error with `connect --stdio`
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
    /// Tell more on standard error; repeat for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Stop when standard input ends: whoever started this process is gone
    #[arg(long, global = true, hide = true)]
    pub(crate) supervised: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    pub(crate) const fn choice(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // Without a remark of their own, these show their arguments' one, the long form with `--help`.
    Demo(demo::Args),
    Serve(commands::serve::Args),
    Accept(Box<commands::accept::Args>),
    Connect(Box<commands::connect::Args>),
    /// Make and show equipment keys; the public half is the id
    #[command(subcommand)]
    Key(commands::key::Command),
    /// Make the keys and certificates by which equipment knows its server
    #[command(subcommand)]
    Authority(commands::authority::Command),
    /// Simulate fleets, NATs and faults in virtual time
    #[command(subcommand)]
    Sim(commands::sim::Command),
    Completions(commands::completions::Args),
}

/// Which server, and how to know that it is the right one.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server; the port is 18251 unless given
    #[arg(long, env = "GENKAN_SERVER", value_name = "HOST[:PORT]", value_parser = server_address)]
    pub(crate) server: HostPort,
    /// The authority that vouches for the server, as `genkan serve` prints it; twice during a
    /// change
    #[arg(long = "authority", env = "GENKAN_AUTHORITY", value_name = "KEY", required = true)]
    #[arg(value_delimiter = ',')]
    pub(crate) authorities: Vec<AuthorityKey>,
    /// A name that the server's certificate must carry
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
}

/// Whether and how UDP holes are punched.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PunchArgs {
    /// Whether to meet through NATs over UDP, and who works out the port that a NAT will give
    #[arg(long, value_name = "HOW", default_value = "server")]
    pub(crate) punch: Punch,
    /// How many ports of a peer's NAT that draws its ports may be guessed, 0 to 1024 [default: 256];
    /// more than 256 looks like a port scan to whoever runs that network
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_024))]
    pub(crate) max_guesses: Option<u16>,
    /// Whether to ask the router for a port (PCP, NAT-PMP), and which: `auto` (the default gateway),
    /// `off`, or its address
    #[arg(long, value_name = "WHOM", default_value = "auto", value_parser = port_mapping)]
    pub(crate) port_mapping: LeaseMode,
}

fn port_mapping(text: &str) -> Result<LeaseMode, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(LeaseMode::Auto),
        ("off", _) => Ok(LeaseMode::Off),
        (_, Ok(address)) => Ok(LeaseMode::Gateway(address)),
        (_, Err(_)) => Err("it must be auto, off, or an IP address".into()),
    }
}

/// Who works out a NAT's ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Punch {
    /// Nobody: connections are made over TCP only
    No,
    /// The server, from what it sees
    Server,
    /// This end, from what the server reports to it
    Equipment,
}

/// Which addresses a peer may ask us to contact beyond public ones.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct PolicyArgs {
    /// Also contact peers on this machine
    #[arg(long)]
    pub(crate) allow_loopback: bool,
    /// Also contact peers at private addresses (same network, laboratory)
    #[arg(long)]
    pub(crate) allow_private: bool,
}

/// A host, by name or address, and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HostPort {
    host: String,
    port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    /// Its addresses, in the system's order; at least one.
    pub(crate) fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let addresses = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| Failure::unreachable(format!("cannot look up {self}: {error}")))?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        if addresses.is_empty() {
            return Err(Failure::unreachable(format!("{self} has no address")));
        }
        Ok(addresses)
    }

    fn parse(text: &str, port: Option<u16>, host: Option<&str>) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        if let Some(address) = text.parse::<core::net::IpAddr>().ok().zip(port) {
            return Ok(Self { host: address.0.to_string(), port: address.1 });
        }
        let (name, given) = match (text.rsplit_once(':'), host) {
            (Some((name, given)), _) => (name, Some(given)),
            (None, Some(host)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, Some(text))
            }
            (None, _) => (text, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err("the host must be a name, an IPv4 address or an [IPv6] address".into());
        }
        let port = match given {
            Some(given) => given.parse().map_err(|_| "the port must be 0 to 65535".to_owned())?,
            None => port.ok_or("a port is missing: HOST:PORT")?,
        };
        Ok(Self { host: name.to_owned(), port })
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, None, None)
    }
}

/// `HOST[:PORT]` of a server.
fn server_address(text: &str) -> Result<HostPort, String> {
    let address = HostPort::parse(text, Some(PORT), None)?;
    if address.port == 0 { Err("port 0 cannot be reached".into()) } else { Ok(address) }
}

/// `[HOST:]PORT` to listen on; this machine alone unless a host is given.
pub(crate) fn listen_address(text: &str) -> Result<HostPort, String> {
    HostPort::parse(text, None, Some("127.0.0.1"))
}

/// The directory for a role's keys and state: the one given, or one in the user's own data.
pub(crate) fn data_dir(given: Option<&Path>, role: &str) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("LOCALAPPDATA"))
        .or_else(|| absolute("HOME").map(|home| home.join(".local").join("share")))
        .map(|base| base.join("genkan").join(role))
        .ok_or_else(|| Failure::usage("no directory for keys is known").hint("--data DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed_and_no_option_takes_a_password() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        command.build();
        let mut waiting: Vec<&clap::Command> = command.get_subcommands().collect();
        let mut seen = 0;
        while let Some(next) = waiting.pop() {
            waiting.extend(next.get_subcommands());
            for argument in next.get_arguments() {
                seen += 1;
                let id = argument.get_id().as_str();
                let flag_or_file = matches!(argument.get_action(), ArgAction::SetTrue)
                    || argument.get_value_names().is_some_and(|names| names == ["FILE"]);
                assert!(!id.contains("password") || flag_or_file, "{id}");
            }
        }
        assert!(seen > 30);
    }

    #[test]
    fn hosts_and_ports_in_all_their_forms() {
        let of = |text: &str| text.parse::<HostPort>().map(|address| address.to_string());
        assert_eq!(of("localhost:80"), Ok("localhost:80".into()));
        assert_eq!(of("[::1]:80"), Ok("[::1]:80".into()));
        for bad in ["", "localhost", ":80", "a b:80", "host:65536", "host:-1", "::1", "x\n:1"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
        let server = |text| server_address(text).map(|address| address.to_string());
        assert_eq!(server("rdv.example.net"), Ok("rdv.example.net:18251".into()));
        assert_eq!(server("::1"), Ok("[::1]:18251".into()));
        assert_eq!(server("192.0.2.1:4"), Ok("192.0.2.1:4".into()));
        assert!(server("host:0").is_err());
        let listen = |text| listen_address(text).map(|address| address.to_string());
        assert_eq!(listen("8080"), Ok("127.0.0.1:8080".into()));
        assert_eq!(listen("0.0.0.0:0"), Ok("0.0.0.0:0".into()));
        assert!(listen("host").is_err() && listen("").is_err());
        assert_eq!(listen("99999"), Err("the port must be 0 to 65535".into()));
    }
}
