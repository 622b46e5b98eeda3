//! What the device is told at its first start, and keeps.
//!
//! A factory writes this into flash, or the owner gives it through a local page or over Bluetooth. The
//! emulated board takes it from its command line, once; later starts use what is in flash:
//!
//! | argument | |
//! |---|---|
//! | `server=NAME:PORT` | the server, by name, or by address (IPv6: in brackets) |
//! | `authority=HEX` | whom to believe about it, 32 bytes |
//! | `password=HEX` | the password's record, 16 bytes of salt and 32 of hash; with `key` |
//! | `open` | admit anybody |
//! | `key=HEX` | the device's secret key, 32 bytes; drawn when absent |
//! | `no-punch` | no UDP holes: TCP dial-back alone |
//! | `spread=MS` | the first registration leaves within so many milliseconds (25000) |
//!
//! At every start, for tests: `provoke=panic`, `fault`, `hang`, `stack` or `writes`.

use core::net::IpAddr;
use core::time::Duration;

use genkan_core::punch::Ability;
use genkan_core::{
    AcceptorConfig, AdmissionPolicy, Anchors, Entropy, Identity, PasswordRecord, Resumption,
    ServerAddress, StaticKey,
};
use heapless::String;
use semihosting::experimental::env;

use crate::kept;
use crate::store::{Broken, Key, Store};

const OPEN: u64 = 1;
const NO_PUNCH: u64 = 1 << 1;
const DEFAULT_SPREAD: u64 = 25_000;
/// Longest name of a server with its port, in bytes.
const LONGEST_SERVER: usize = 80;

/// What a test asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, defmt::Format)]
pub enum Provoke {
    /// A panic, some seconds after the registration.
    Panic,
    /// A fault of the processor, likewise.
    Fault,
    /// The main loop hangs, likewise.
    Hang,
    /// The stack becomes too deep, likewise.
    Stack,
    /// Values are written to flash without end.
    Writes,
}

/// The arguments of this start.
#[derive(Debug, Default)]
struct Arguments {
    server: Option<String<LONGEST_SERVER>>,
    authority: Option<[u8; 32]>,
    password: Option<[u8; 48]>,
    key: Option<[u8; 32]>,
    flags: u64,
    spread: Option<u64>,
    provoke: Option<Provoke>,
}

/// What the device is.
#[derive(Debug)]
pub struct Settings {
    /// The server's name or address.
    pub host: String<LONGEST_SERVER>,
    /// Its port, for UDP and TCP.
    pub port: u16,
    identity: Identity,
    anchors: Anchors,
    admission: AdmissionPolicy,
    spread: Duration,
    punch: Option<Ability>,
    /// What a test asks for.
    pub provoke: Option<Provoke>,
}

/// Why there are no settings.
#[derive(Debug, defmt::Format)]
pub enum Missing {
    /// The flash fails, or is damaged.
    Flash(#[defmt(Debug2Format)] Broken),
    /// This is the first start, and an argument is missing or wrong.
    Argument(&'static str),
    /// No key can be drawn.
    Entropy,
}

/// The server is missing or wrong.
const NO_SERVER: Missing = Missing::Argument("server=NAME:PORT");

impl From<Broken> for Missing {
    fn from(broken: Broken) -> Self {
        Self::Flash(broken)
    }
}

impl Settings {
    /// Reads them; at the first start, from the arguments. Counts the start.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn load(store: &mut Store, entropy: &mut dyn Entropy) -> Result<Self, Missing> {
        let arguments = arguments()?;
        if store.read(Key::Server)?.is_none() {
            provision(store, entropy, &arguments)?;
        }
        let boots = count(store)?;
        let text = str::from_utf8(store.read(Key::Server)?.unwrap_or_default());
        let (host, port) = text.ok().and_then(name_and_port).ok_or(NO_SERVER)?;
        let secret = store.array(Key::Identity)?.ok_or(Missing::Entropy)?;
        let flags = store.number(Key::Flags)?;
        let mut anchors = Anchors { floor: store.number(Key::Floor)?, ..Anchors::default() };
        if let Some(authority) = store.array(Key::Authority)? {
            // There is room for two.
            let _ = anchors.authorities.push(authority);
        }
        let password = store.array::<48>(Key::Password)?.map(|kept| {
            let (salt, hash) = kept.split_at(16);
            let mut record = PasswordRecord { salt: [0; 16], hash: [0; 32] };
            record.salt.copy_from_slice(salt);
            record.hash.copy_from_slice(hash);
            record
        });
        let failures = store.number(Key::Failures)?;
        Ok(Self {
            host,
            port,
            identity: Identity { key: StaticKey::from_secret(secret), boots },
            anchors,
            admission: AdmissionPolicy {
                password,
                failures: u32::try_from(failures).unwrap_or(u32::MAX),
                open: flags & OPEN != 0,
                early_key: store.array(Key::Early)?,
                ..AdmissionPolicy::default()
            },
            spread: Duration::from_millis(store.number(Key::Spread)?),
            punch: (flags & NO_PUNCH == 0).then_some(Ability::SMALL),
            provoke: arguments.provoke,
        })
    }

    /// What the acceptor is told.
    pub fn config(&self, server: IpAddr) -> AcceptorConfig {
        let (identity, server) = (self.identity.clone(), self.server(server));
        let mut config = AcceptorConfig::new(identity, server, self.anchors.clone());
        config.admission = self.admission.clone();
        config.spread = self.spread;
        config.punch = self.punch;
        config
    }

    /// The server at an address of its name's.
    pub fn server(&self, address: IpAddr) -> ServerAddress {
        ServerAddress::both((address, self.port).into())
    }

    /// The device's id and how often it has started.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// The session that was kept.
///
/// # Errors
/// [`Broken`].
pub fn session(store: &mut Store) -> Result<Option<Resumption>, Broken> {
    Ok(store.array::<36>(Key::Session)?.map(|kept| {
        let (handle, root) = kept.split_at(4);
        let mut session = Resumption { handle: 0, root: [0; 32] };
        session.handle = handle.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        session.root.copy_from_slice(root);
        session
    }))
}

/// Keeps a session.
///
/// # Errors
/// [`Broken`].
pub fn keep_session(store: &mut Store, session: &Resumption) -> Result<(), Broken> {
    let mut value = [0; 36];
    let (handle, root) = value.split_at_mut(4);
    handle.copy_from_slice(&session.handle.to_be_bytes());
    root.copy_from_slice(&session.root);
    store.write(Key::Session, &value)
}

/// This start's number, which no other has: how often power came, by the flash, and in the lower 16
/// bits the resets since, by RAM that survives them. So a device that resets again and again writes
/// nothing.
fn count(store: &mut Store) -> Result<u64, Broken> {
    let powered = store.number(Key::Boots)?;
    let known = u32::try_from(powered).unwrap_or(0);
    if let Some(resets) = kept::resets(known) {
        return Ok(powered << 16 | u64::from(resets));
    }
    let powered = powered.saturating_add(1);
    store.write_number(Key::Boots, powered)?;
    kept::set_powered(u32::try_from(powered).unwrap_or(0));
    Ok(powered << 16)
}

/// The first start. A power cut in the middle of it leaves another first start.
fn provision(
    store: &mut Store,
    entropy: &mut dyn Entropy,
    arguments: &Arguments,
) -> Result<(), Missing> {
    // What could not be read back would be kept for good.
    let server = arguments.server.as_ref().filter(|text| name_and_port(text).is_some());
    let server = server.ok_or(NO_SERVER)?;
    let authority = arguments.authority.ok_or(Missing::Argument("authority=HEX"))?;
    let (mut secret, mut early_key) = ([0; 32], [0; 16]);
    entropy.fill(&mut secret).map_err(|_| Missing::Entropy)?;
    entropy.fill(&mut early_key).map_err(|_| Missing::Entropy)?;
    store.write(Key::Identity, &arguments.key.unwrap_or(secret))?;
    store.write(Key::Early, &early_key)?;
    store.write(Key::Authority, &authority)?;
    if let Some(password) = &arguments.password {
        store.write(Key::Password, password)?;
    }
    store.write_number(Key::Flags, arguments.flags)?;
    store.write_number(Key::Spread, arguments.spread.unwrap_or(DEFAULT_SPREAD))?;
    store.write(Key::Server, server.as_bytes())?;
    defmt::info!("provisioned for {=str}", server.as_str());
    Ok(())
}

/// The parts of a server's address; none when one is missing.
fn name_and_port(text: &str) -> Option<(String<LONGEST_SERVER>, u16)> {
    let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty())?;
    Some((String::try_from(host).ok()?, port.parse().ok()?))
}

fn arguments() -> Result<Arguments, Missing> {
    let mut found = Arguments::default();
    let Ok(arguments) = env::args::<512>() else { return Ok(found) };
    // The first is the program's name.
    for argument in (&arguments).skip(1).filter_map(Result::ok) {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        match name {
            "server" => found.server = String::try_from(value).ok(),
            "authority" => found.authority = hex(value),
            "password" => found.password = hex(value),
            "key" => found.key = hex(value),
            "open" => found.flags |= OPEN,
            "no-punch" => found.flags |= NO_PUNCH,
            "spread" => found.spread = value.parse().ok(),
            "provoke" => {
                found.provoke = match value {
                    "panic" => Some(Provoke::Panic),
                    "fault" => Some(Provoke::Fault),
                    "hang" => Some(Provoke::Hang),
                    "stack" => Some(Provoke::Stack),
                    "writes" => Some(Provoke::Writes),
                    _ => {
                        return Err(Missing::Argument(
                            "provoke=panic, fault, hang, stack or writes",
                        ));
                    }
                }
            }
            _ => return Err(Missing::Argument("one that is known")),
        }
    }
    Ok(found)
}

/// Bytes from twice as many digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
