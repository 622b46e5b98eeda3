//! What the device must not forget, in flash.
//!
//! Values are kept by the log-structured map of `sequential-storage`: a new value is written behind
//! the old one, and counts only when it is complete, so that a power cut at any moment leaves the old
//! or the new one; sectors are worn evenly. The crate is asynchronous; over a driver that never waits
//! its futures are ready at once, so blocking on them costs nothing.
//!
//! | key | written |
//! |---|---|
//! | identity, authority, password, flags, spread, early key, server | once, at the first start |
//! | boots | each time that power comes |
//! | certificate, floor | when the server has a new certificate: hardly ever |
//! | session | at each full handshake: after a start without one, or days of absence |
//! | failures | at each fourth wrong password in a row |

use embassy_futures::block_on;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use embedded_storage_async::nor_flash as slow;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::flash::Flash;

/// Longest value in bytes.
pub const LONGEST: usize = 256;

/// What is kept. The numbers are on the flash: never change one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, defmt::Format)]
#[repr(u8)]
pub enum Key {
    /// The device's secret key, 32 bytes.
    Identity = 1,
    /// How often power came, a number.
    Boots = 2,
    /// Wrong passwords in a row, a number.
    Failures = 3,
    /// The server's certificate.
    Certificate = 4,
    /// Seconds since 1970 that have certainly passed, a number.
    Floor = 5,
    /// The session to take up again: handle and root, 36 bytes, secret.
    Session = 6,
    /// Whom it believes about the server, 32 bytes.
    Authority = 7,
    /// The password's record: salt and hash, 48 bytes.
    Password = 8,
    /// Bits of the settings.
    Flags = 9,
    /// Milliseconds within which the first registration leaves, a number.
    Spread = 10,
    /// The early key, 16 bytes, secret.
    Early = 11,
    /// The server's name and port. Written last: with it, the settings are complete.
    Server = 12,
    /// For the test of power cuts.
    Trial = 13,
}

/// The flash failed, or holds what nothing can be made of.
pub type Broken = sequential_storage::Error<NorFlashErrorKind>;

/// The store.
pub struct Store {
    map: Map,
    /// A value with its key, in whole words.
    buffer: [u8; LONGEST + 8],
}

type Map = MapStorage<u8, Blocking<Flash>, Cache<Uncached, Uncached, Uncached, u8>>;

impl Store {
    /// The store in this flash. Erased flash is an empty one.
    pub fn open(flash: Flash) -> Self {
        let config = const { MapConfig::new(Flash::RANGE) };
        let map = MapStorage::new(Blocking(flash), config, Cache::new_uncached());
        Self { map, buffer: [0; LONGEST + 8] }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(&mut self, key: Key) -> Result<Option<&[u8]>, Broken> {
        block_on(self.map.fetch_item(&mut self.buffer, &(key as u8)))
    }

    /// As [`Store::read`], of a fixed length; `None` when it has another.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn array<const N: usize>(&mut self, key: Key) -> Result<Option<[u8; N]>, Broken> {
        Ok(self.read(key)?.and_then(|value| value.try_into().ok()))
    }

    /// A number; 0 when there is none.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn number(&mut self, key: Key) -> Result<u64, Broken> {
        Ok(self.array(key)?.map_or(0, u64::from_be_bytes))
    }

    /// Keeps a value; it is in the flash when this returns. What is there already costs nothing.
    ///
    /// # Errors
    /// [`Broken`]; the old value stands then.
    pub fn write(&mut self, key: Key, value: &[u8]) -> Result<(), Broken> {
        if self.read(key)? == Some(value) {
            return Ok(());
        }
        block_on(self.map.store_item(&mut self.buffer, &(key as u8), &value))
    }

    /// Keeps a number.
    ///
    /// # Errors
    /// [`Broken`]; the old one stands then.
    pub fn write_number(&mut self, key: Key, number: u64) -> Result<(), Broken> {
        self.write(key, &number.to_be_bytes())
    }
}

/// A driver that blocks, as one that need not wait.
struct Blocking<F>(F);

impl<F: ErrorType> ErrorType for Blocking<F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> slow::ReadNorFlash for Blocking<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> slow::NorFlash for Blocking<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}

impl<F: MultiwriteNorFlash> slow::MultiwriteNorFlash for Blocking<F> {}
