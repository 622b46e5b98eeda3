//! Who may connect, and whom one may reach: what state directories hold about peers.

use genkan_core::{EquipmentId, PasswordRecord};
use zeroize::Zeroizing;

use super::error::{FileError, Problem};
use super::state::StateDir;

impl StateDir {
    /// The salted hash of the password; `None` where none is set.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn password(&self) -> Result<Option<PasswordRecord>, FileError> {
        let Some(value) = self.number::<48>("password")? else { return Ok(None) };
        let mut record = PasswordRecord { salt: [0; 16], hash: [0; 32] };
        let (salt, hash) = value.split_at(16);
        record.salt.copy_from_slice(salt);
        record.hash.copy_from_slice(hash);
        Ok(Some(record))
    }

    /// Sets the password from its information (Argon2id of password and id), with a fresh salt;
    /// `None` removes it.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn set_password(&self, information: Option<&[u8; 32]>) -> Result<(), FileError> {
        let Some(information) = information else { return self.remove("password") };
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| FileError::new(self.path(), Problem::NoEntropy))?;
        let record = PasswordRecord::new(salt, information);
        self.write("password", &[&record.salt[..], &record.hash[..]].concat())
    }

    /// The issuers that may connect without a password.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn paired(&self) -> Result<Vec<EquipmentId>, FileError> {
        let value = self.read("paired")?.unwrap_or_default();
        let (ids, rest) = value.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(FileError::new(&self.path().join("paired"), Problem::Damaged));
        }
        Ok(ids.iter().copied().map(EquipmentId).collect())
    }

    /// Sets the issuers that may connect without a password.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn set_paired(&self, ids: &[EquipmentId]) -> Result<(), FileError> {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
        self.write("paired", &bytes)
    }

    /// The early key that this acceptor gives to the server and to paired issuers; drawn where there
    /// is none yet.
    ///
    /// # Errors
    /// As [`StateDir::read`] and [`StateDir::write`].
    pub fn early_key(&self) -> Result<[u8; 16], FileError> {
        let _change = self.changing();
        match self.number("early-key")? {
            Some(key) => Ok(key),
            None => self.draw_early_key(),
        }
    }

    /// Draws another early key in the place of the present one: after somebody was taken off the
    /// pairing list, who knows it.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn renew_early_key(&self) -> Result<[u8; 16], FileError> {
        let _change = self.changing();
        self.draw_early_key()
    }

    fn draw_early_key(&self) -> Result<[u8; 16], FileError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|_| FileError::new(self.path(), Problem::NoEntropy))?;
        self.write("early-key", &key)?;
        Ok(key)
    }

    /// Keeps an early key of this acceptor that was drawn elsewhere.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn set_early_key(&self, key: &[u8; 16]) -> Result<(), FileError> {
        let _change = self.changing();
        self.write("early-key", key)
    }

    /// What an issuer keeps about an acceptor.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn acquaintance(&self, acceptor: EquipmentId) -> Result<Acquaintance, FileError> {
        let Some(value) = self.number::<24>(&acceptor.to_string())? else {
            return Ok(Acquaintance::default());
        };
        let (mut counter, mut key) = ([0; 8], [0; 16]);
        let (head, tail) = value.split_at(counter.len());
        counter.copy_from_slice(head);
        key.copy_from_slice(tail);
        let early_key = (key != [0; 16]).then_some(key);
        Ok(Acquaintance { counter: u64::from_be_bytes(counter), early_key })
    }

    /// Counts one more request to an acceptor and returns what is known of it then.
    ///
    /// # Errors
    /// As [`StateDir::read`] and [`StateDir::write`].
    pub fn count_request(&self, acceptor: EquipmentId) -> Result<Acquaintance, FileError> {
        let _change = self.changing();
        let mut known = self.acquaintance(acceptor)?;
        known.counter = known.counter.saturating_add(1);
        self.write(&acceptor.to_string(), &known.encode())?;
        Ok(known)
    }

    /// Keeps the early key that an acceptor has given.
    ///
    /// # Errors
    /// As [`StateDir::read`] and [`StateDir::write`].
    pub fn store_early_key(&self, acceptor: EquipmentId, key: [u8; 16]) -> Result<(), FileError> {
        let _change = self.changing();
        let mut known = self.acquaintance(acceptor)?;
        known.early_key = Some(key);
        self.write(&acceptor.to_string(), &known.encode())
    }
}

/// What an issuer keeps about an acceptor.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Acquaintance {
    /// How many requests were made to it.
    pub counter: u64,
    /// Its early key, for an issuer that it has paired with. Secret.
    pub early_key: Option<[u8; 16]>,
}

impl Acquaintance {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let key = self.early_key.unwrap_or_default();
        Zeroizing::new([&self.counter.to_be_bytes()[..], &key[..]].concat())
    }
}

impl core::fmt::Debug for Acquaintance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Acquaintance").field("counter", &self.counter).finish_non_exhaustive()
    }
}
