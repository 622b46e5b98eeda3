//! What an acceptor is told at start.

use core::ffi::{c_char, c_void};
use core::time::Duration;

use genkan_core::punch::{Ability, Detector, Limits};
use genkan_core::{
    AcceptorConfig, AddressPolicy, AdmissionPolicy, Anchors, Entropy, EntropyError, EquipmentId,
    Identity, PasswordRecord, ServerAddress, StaticKey,
};
use heapless::{String, Vec};

use crate::error::{answer, genkan_error};
use crate::names::{genkan_address, text_of};
use crate::pointers::{many, put, shared};

/// The most authority keys: the current and, during a change, the next.
pub const GENKAN_MAX_AUTHORITIES: usize = 2;
/// The most issuers on a pairing list.
pub const GENKAN_MAX_PAIRED: usize = 8;

/// For genkan_config.flags: loopback addresses may be dialled too.
pub const GENKAN_ALLOW_LOOPBACK: u32 = 1;
/// For genkan_config.flags: private and link-local addresses may be dialled too.
pub const GENKAN_ALLOW_PRIVATE: u32 = 2;
/// For genkan_config.flags: ports below 1,024 may be dialled too.
pub const GENKAN_ALLOW_LOW_PORTS: u32 = 4;
/// For genkan_config.flags: register over TCP when UDP stays unanswered.
pub const GENKAN_STREAM_FALLBACK: u32 = 8;
/// For genkan_config.flags: the appliance itself, not the server, computes port ranges from the
/// range detection packets.
pub const GENKAN_DETECTS: u32 = 16;
/// For genkan_config.flags: ask for the server's certificate on each new TCP connection, although
/// one is cached.
pub const GENKAN_FETCH_CERTIFICATE: u32 = 32;
/// For genkan_config.flags: issuers that cannot be dialled are called over TCP from a port of the
/// firmware's choice. It asks for the command ConnectFrom.
pub const GENKAN_SIMULTANEOUS_OPEN: u32 = 64;
const ALL_FLAGS: u32 = 127;

/// Fills `dest` with `length` random bytes from a good source and returns 0; anything else says that
/// it could not, and what needed the bytes is tried again later. It must not call this library.
pub type genkan_entropy =
    Option<unsafe extern "C" fn(context: *mut c_void, dest: *mut u8, length: usize) -> i32>;

/// Who may connect.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct genkan_admission {
    /// The password's record: issuers that bring the password are admitted. NULL: none is.
    pub password: *const genkan_password,
    /// `paired_count` ids of 32 bytes, one after the other: issuers that are admitted by their key.
    pub paired: *const u8,
    /// How many, up to GENKAN_MAX_PAIRED.
    pub paired_count: usize,
    /// The early key, 16 random bytes that are kept; NULL: none. It is given to the server and to
    /// issuers on the pairing list.
    pub early_key: *const u8,
    /// The number of failed tries that was persisted last.
    pub failures: u32,
    /// Not 0: anybody is admitted. For services that authenticate by themselves.
    pub open: u8,
}

/// A salted hash of a password information, as a device stores it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct genkan_password {
    /// Random, drawn when the password was set.
    pub salt: [u8; 16],
    /// Hash over salt and password information.
    pub hash: [u8; 32],
}

/// What an acceptor is told at start. Begin with genkan_config_init. Nothing that it points to is
/// needed after genkan_acceptor_init has returned.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct genkan_config {
    /// The device's static secret key: 32 bytes from a good source of randomness, drawn once.
    pub secret: *const u8,
    /// Its public half, the device's id, as genkan_id_from_secret computes it; NULL: computed now.
    pub id: *const u8,
    /// How often the device has booted, where it keeps count; else 0.
    pub boots: u64,
    /// The server's UDP address.
    pub server_datagram: genkan_address,
    /// The server's TCP address.
    pub server_stream: genkan_address,
    /// `authority_count` public keys of 32 bytes, one after the other: whom it believes about the
    /// server.
    pub authorities: *const u8,
    /// How many, from 1 to GENKAN_MAX_AUTHORITIES.
    pub authority_count: usize,
    /// The name that the server's certificate must carry; NULL: any.
    pub server_name: *const c_char,
    /// Seconds since 1970 that have certainly passed: build time or the persisted floor.
    pub floor: u64,
    /// Seconds since 1970 now, by a clock that can be trusted; 0 without one.
    pub wall_clock: u64,
    /// The smallest serial of a certificate that is not revoked.
    pub min_serial: u32,
    /// The first registration leaves at a random time within so many milliseconds.
    pub spread_ms: u32,
    /// The GENKAN_ALLOW_… and further constants of this kind, added up.
    pub flags: u32,
    /// Packets to ports that have to be guessed, per attempt at a hole.
    pub punch_guesses: u16,
    /// UDP sockets that can be opened at once for holes; 0: no hole punching, TCP only.
    pub punch_sockets: u8,
    /// Who may connect.
    pub admission: genkan_admission,
    /// The source of randomness.
    pub entropy: genkan_entropy,
    /// What `entropy` is given first.
    pub entropy_context: *mut c_void,
}

/// Fills a configuration with defaults: nobody admitted, public addresses only, a spread of 25 s,
/// the TCP fallback on, the hole punching of a microcontroller. Keys, server and entropy are left to
/// fill in.
///
/// # Safety
/// `config` is null or points to memory for a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_config_init(config: *mut genkan_config) -> genkan_error {
    use core::ptr::{null, null_mut};
    let none = genkan_address::default();
    let admission = genkan_admission {
        password: null(),
        paired: null(),
        paired_count: 0,
        early_key: null(),
        failures: 0,
        open: 0,
    };
    let defaults = genkan_config {
        secret: null(),
        id: null(),
        boots: 0,
        server_datagram: none,
        server_stream: none,
        authorities: null(),
        authority_count: 0,
        server_name: null(),
        floor: 0,
        wall_clock: 0,
        min_serial: 0,
        spread_ms: 25_000,
        flags: GENKAN_STREAM_FALLBACK | GENKAN_SIMULTANEOUS_OPEN,
        punch_guesses: Ability::SMALL.limits.guesses,
        punch_sockets: Ability::SMALL.limits.sockets,
        admission,
        entropy: None,
        entropy_context: null_mut(),
    };
    // SAFETY: the caller's promise.
    answer(|| unsafe { put(config, defaults) })
}

/// The record of a password information, as the device keeps it: when the owner sets a password, the
/// owner's app derives the information from it (Argon2id with the device's id) and sends that.
///
/// # Safety
/// `salt` is null or points to 16 random bytes, `information` to 32 bytes, `password` to memory for
/// a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_password_from_information(
    salt: *const u8,
    information: *const u8,
    password: *mut genkan_password,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (salt, information) = unsafe { (shared(salt.cast())?, shared(information.cast())?) };
        let PasswordRecord { salt, hash } = PasswordRecord::new(*salt, information);
        // SAFETY: the caller's promise.
        unsafe { put(password, genkan_password { salt, hash }) }
    })
}

impl genkan_config {
    /// As the core takes it.
    ///
    /// # Safety
    /// Every pointer in it is null or points to what its field says.
    pub(crate) unsafe fn read(&self) -> Result<AcceptorConfig, genkan_error> {
        if self.flags & !ALL_FLAGS != 0 {
            return Err(genkan_error::BadValue);
        }
        // SAFETY: the caller's promise.
        let secret: [u8; 32] = *unsafe { shared(self.secret.cast()) }?;
        let key = if self.id.is_null() {
            StaticKey::from_secret(secret)
        } else {
            // SAFETY: the caller's promise.
            StaticKey::from_parts(secret, *unsafe { shared(self.id.cast()) }?)
        };
        let server = ServerAddress {
            datagram: (&self.server_datagram).try_into()?,
            stream: (&self.server_stream).try_into()?,
        };
        // SAFETY: the caller's promise.
        let anchors = unsafe { self.anchors() }?;
        let identity = Identity { key, boots: self.boots };
        let mut config = AcceptorConfig::new(identity, server, anchors);
        // SAFETY: the caller's promise.
        config.admission = unsafe { self.admission.read() }?;
        config.addresses = AddressPolicy {
            loopback: self.has(GENKAN_ALLOW_LOOPBACK),
            private: self.has(GENKAN_ALLOW_PRIVATE),
            low_ports: self.has(GENKAN_ALLOW_LOW_PORTS),
        };
        config.wall_clock = (self.wall_clock != 0).then_some(self.wall_clock);
        config.spread = Duration::from_millis(self.spread_ms.into());
        config.stream_fallback = self.has(GENKAN_STREAM_FALLBACK);
        let detects = self.has(GENKAN_DETECTS);
        let detector = if detects { Detector::Equipment } else { Detector::Server };
        let limits = Limits { sockets: self.punch_sockets, guesses: self.punch_guesses };
        config.punch = (self.punch_sockets > 0).then_some(Ability { limits, detector });
        config.simultaneous_open = self.has(GENKAN_SIMULTANEOUS_OPEN);
        config.fetch_certificate_each = self.has(GENKAN_FETCH_CERTIFICATE);
        Ok(config)
    }

    const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// # Safety
    /// As for `read`.
    unsafe fn anchors(&self) -> Result<Anchors, genkan_error> {
        // SAFETY: the caller's promise.
        let keys = unsafe { many::<[u8; 32]>(self.authorities.cast(), self.authority_count) }?;
        let authorities = Vec::from_slice(keys).map_err(|_| genkan_error::BadValue)?;
        if authorities.is_empty() {
            return Err(genkan_error::BadValue);
        }
        let name = if self.server_name.is_null() {
            None
        } else {
            // SAFETY: the caller's promise.
            let name = unsafe { text_of(self.server_name) }?;
            Some(String::try_from(name).map_err(|_| genkan_error::BadValue)?)
        };
        Ok(Anchors { authorities, name, min_serial: self.min_serial, floor: self.floor })
    }
}

impl genkan_admission {
    /// As the core takes it.
    ///
    /// # Safety
    /// Every pointer in it is null or points to what its field says.
    pub(crate) unsafe fn read(&self) -> Result<AdmissionPolicy, genkan_error> {
        // SAFETY: the caller's promise.
        let ids = unsafe { many::<[u8; 32]>(self.paired.cast(), self.paired_count) }?;
        let mut policy = AdmissionPolicy { failures: self.failures, ..AdmissionPolicy::default() };
        for id in ids {
            policy.paired.push(EquipmentId(*id)).map_err(|_| genkan_error::BadValue)?;
        }
        if !self.password.is_null() {
            // SAFETY: the caller's promise.
            let genkan_password { salt, hash } = *unsafe { shared(self.password) }?;
            policy.password = Some(PasswordRecord { salt, hash });
        }
        if !self.early_key.is_null() {
            // SAFETY: the caller's promise.
            policy.early_key = Some(*unsafe { shared(self.early_key.cast()) }?);
        }
        policy.open = self.open != 0;
        Ok(policy)
    }
}

/// The firmware's source of randomness.
#[derive(Debug)]
pub(crate) struct Source {
    fill: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> i32,
    context: *mut c_void,
}

impl Source {
    /// `None` where the configuration has none.
    pub(crate) fn of(config: &genkan_config) -> Option<Self> {
        Some(Self { fill: config.entropy?, context: config.entropy_context })
    }
}

impl Entropy for Source {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        // SAFETY: the function was given for this, with this context; pointer and length are those
        // of a buffer that is lent to it alone.
        match unsafe { (self.fill)(self.context, dest.as_mut_ptr(), dest.len()) } {
            0 => Ok(()),
            _ => Err(EntropyError),
        }
    }
}
