//! Hashing and verifying passwords with Argon2id, on threads of their own: a storm of sign-ins
//! waits in its own queue and leaves everybody else's calls alone.

use std::{io, num::NonZero, thread, time::Duration};

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, RECOMMENDED_SALT_LEN, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt},
};
use zeroize::Zeroizing;

use super::{
    Password, PasswordHash,
    phc::{self, Argon2Hash},
    pool::{Memory, Pool},
};

/// Bytes of a hash.
const OUTPUT_BYTES: usize = 32;

/// Jobs that may wait for each thread: under two seconds at 25 ms a hash, so that who waits is
/// still there when the turn comes.
const QUEUE_PER_THREAD: usize = 64;

/// How dear a hash is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashParams(Params);

impl HashParams {
    /// Argon2id with this memory in KiB, passes over it, and lanes.
    ///
    /// # Errors
    /// A cost that Argon2 does not have, or that a sign-in may not take (256 MiB, 2 GiB over all passes).
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, String> {
        phc::check_argon2_cost(memory_kib, passes, lanes)?;
        Params::new(memory_kib, passes, lanes, None).map(Self).map_err(|error| error.to_string())
    }
}

impl Default for HashParams {
    /// 19 MiB, two passes, one lane: what
    /// [OWASP](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html) asks for.
    fn default() -> Self {
        Self(Params::DEFAULT)
    }
}

/// How many threads hash, how many jobs may wait for them, and how dear a hash is.
#[derive(Clone, Debug)]
pub struct HasherOptions {
    /// Threads, each with memory of its own while it works.
    pub threads: NonZero<usize>,
    /// Jobs that may wait in all.
    pub queue: NonZero<usize>,
    /// For new hashes. A hash that is verified names its own.
    pub params: HashParams,
}

impl Default for HasherOptions {
    /// A thread for each core that this process may use.
    fn default() -> Self {
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let queue = NonZero::new(QUEUE_PER_THREAD).map_or(threads, |each| threads.saturating_mul(each));
        Self { threads, queue, params: HashParams::default() }
    }
}

/// Why a password was not hashed or verified. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error("too many passwords wait to be hashed; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When what waits now should be done, by the time that hashes have lately taken.
        retry_after: Duration,
    },
    /// The stored hash is damaged, too dear, or of a kind that this version only keeps.
    #[error("the stored password hash cannot be verified: {0}")]
    Unverifiable(String),
    /// The machine has no memory or no random bytes.
    #[error("cannot hash a password: {0}")]
    Failed(String),
}

/// The threads that hash. They stop when the hasher is dropped.
pub struct Hasher {
    pool: Pool,
    argon2: Argon2<'static>,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(options: HasherOptions) -> io::Result<Self> {
        let HashParams(params) = options.params;
        let pool = Pool::start(options.threads, options.queue, params.block_count())?;
        Ok(Self { pool, argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params) })
    }

    /// Hashes a password with a fresh random salt. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// [`HashError::Busy`], [`HashError::Failed`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let argon2 = self.argon2.clone();
        self.pool.run(move |memory| hash(&argon2, &password, memory)).await
    }

    /// Whether this is the password that was hashed.
    ///
    /// # Errors
    /// [`HashError::Unverifiable`] if the hash is not one of Argon2, [`HashError::Busy`], [`HashError::Failed`].
    pub async fn verify(&self, password: Password, hash: PasswordHash) -> Result<bool, HashError> {
        let hash = phc::parse_argon2(hash.as_str()).map_err(HashError::Unverifiable)?;
        self.pool.run(move |memory| verify(&hash, &password, memory)).await
    }
}

fn hash(argon2: &Argon2<'_>, password: &Password, memory: &mut Memory) -> Result<PasswordHash, HashError> {
    let mut salt = [0; RECOMMENDED_SALT_LEN];
    getrandom::fill(&mut salt).map_err(failed)?;
    let output = digest(argon2, password, &salt, OUTPUT_BYTES, memory)?;
    let hash = Phc {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).map_err(failed)?,
        salt: Some(Salt::new(&salt).map_err(failed)?),
        hash: Some(output),
    };
    Ok(PasswordHash::from_store(hash.to_string()))
}

fn verify(hash: &Argon2Hash, password: &Password, memory: &mut Memory) -> Result<bool, HashError> {
    let argon2 = Argon2::new(hash.algorithm, hash.version, hash.params.clone());
    let output = digest(&argon2, password, &hash.salt, hash.output.len(), memory)?;
    // `Output` compares in constant time.
    Ok(output == hash.output)
}

fn digest(
    argon2: &Argon2<'_>,
    password: &Password,
    salt: &[u8],
    length: usize,
    memory: &mut Memory,
) -> Result<Output, HashError> {
    let mut buffer = Zeroizing::new([0; Output::MAX_LENGTH]);
    let output = &mut buffer[..length.min(Output::MAX_LENGTH)];
    let blocks = memory.blocks(argon2.params().block_count())?;
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, blocks).map_err(failed)?;
    Output::new(output).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> HashError {
    HashError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher() -> Hasher {
        let params = HashParams::new(64, 1, 1).unwrap();
        Hasher::new(HasherOptions { params, ..HasherOptions::default() }).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::parse(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let hasher = hasher();
        let hash = hasher.hash(password("password123")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(PasswordHash::parse_phc(hash.as_str()).is_ok());
        assert_eq!(hasher.verify(password("password123"), hash.clone()).await, Ok(true));
        for wrong in ["password124", "Password123", "password123 ", "password12345"] {
            assert_eq!(hasher.verify(password(wrong), hash.clone()).await, Ok(false));
        }
        let again = hasher.hash(password("password123")).await.unwrap();
        assert_ne!(hash.as_str(), again.as_str(), "the salt is fresh");
        assert!(!format!("{hash:?}").contains("argon2id"));
    }

    /// Whatever passes the check on length counts to its last byte.
    #[tokio::test]
    async fn nothing_is_cut_off() {
        let hasher = hasher();
        let hash = hasher.hash(password(&format!("{}a", "x".repeat(1023)))).await.unwrap();
        assert_eq!(hasher.verify(password(&format!("{}b", "x".repeat(1023))), hash.clone()).await, Ok(false));
        assert_eq!(hasher.verify(password(&"x".repeat(72)), hash).await, Ok(false));
    }

    /// From the vectors of the reference implementation (`phc-winner-argon2`, `src/test.c`).
    #[tokio::test]
    async fn hashes_of_the_reference_implementation() {
        let hasher = hasher();
        for hash in [
            "$argon2i$v=16$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
            "$argon2i$m=256,t=2,p=2$c29tZXNhbHQ$tsEVYKap1h6scGt5ovl9aLRGOqOth+AMB+KwHpDFZPs",
            "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeIM1Oq2E",
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        ] {
            let hash = PasswordHash::parse_phc(hash).unwrap();
            assert_eq!(hasher.verify(password("password"), hash.clone()).await, Ok(true));
            assert_eq!(hasher.verify(password("differentpassword"), hash).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn the_default_is_what_owasp_asks_for() {
        assert_eq!(HashParams::default(), HashParams::new(19_456, 2, 1).unwrap());
        let hasher = Hasher::new(HasherOptions::default()).unwrap();
        let hash = hasher.hash(password("securepass123")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(hasher.verify(password("securepass123"), hash).await, Ok(true));
    }

    #[tokio::test]
    async fn what_cannot_be_verified_is_an_error_and_not_a_no() {
        let hasher = hasher();
        for hash in [
            "",
            "password123",
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQxMjM0$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
        ] {
            let verdict = hasher.verify(password("password123"), PasswordHash::from_store(hash.to_owned())).await;
            assert!(matches!(verdict, Err(HashError::Unverifiable(_))), "{hash}: {verdict:?}");
        }
    }

    #[test]
    fn costs_have_bounds() {
        for (memory, passes, lanes) in
            [(0, 1, 1), (7, 1, 1), (64, 0, 1), (64, 1, 0), (64, 1, 9), (1 << 30, 1, 1), (19_456, 1 << 20, 1)]
        {
            assert!(HashParams::new(memory, passes, lanes).is_err(), "{memory} {passes} {lanes}");
        }
    }
}
