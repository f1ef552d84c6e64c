//! Hashing passwords with Argon2id and verifying them against hashes of every kind that is taken, on threads of their
//! own: a storm of sign-ins waits in its own queue and leaves everybody else's calls alone.

use std::{io, num::NonZero, thread, time::Duration};

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, RECOMMENDED_SALT_LEN, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt},
};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::{
    Password, PasswordHash,
    phc::{self, Argon2Hash, Digest, StoredHash},
    pool::{Memory, Pool},
};
use crate::{
    backlog::Wait,
    trace::{Fault, Traced as _},
};

/// Bytes of a hash.
const OUTPUT_BYTES: usize = 32;

/// Bytes of a password that bcrypt looks at.
const BCRYPT_MAX_BYTES: usize = 72;

/// Jobs that may wait for each thread: under two seconds at 25 ms a hash, so that who waits is
/// still there when the turn comes.
const QUEUE_PER_THREAD: usize = 64;

/// How long a job may have to wait where nothing else is said.
const WAIT_MAX: Duration = Duration::from_secs(2);

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
    /// How long one may have to wait.
    pub wait_max: Duration,
    /// For new hashes. A hash that is verified names its own.
    pub params: HashParams,
}

impl Default for HasherOptions {
    /// A thread for each core that this process may use.
    fn default() -> Self {
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let queue = NonZero::new(QUEUE_PER_THREAD).map_or(threads, |each| threads.saturating_mul(each));
        Self { threads, queue, wait_max: WAIT_MAX, params: HashParams::default() }
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
    /// The stored hash is damaged or too dear.
    #[error("the stored password hash cannot be verified: {0}")]
    Unverifiable(String),
    /// The machine has no memory or no random bytes.
    #[error("cannot hash a password: {0}")]
    Failed(String),
}

impl Fault for HashError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Unverifiable(_) => "unverifiable",
            Self::Failed(_) => "failed",
        }
    }

    fn is_ours(&self) -> bool {
        !matches!(self, Self::Busy { .. })
    }
}

/// What came of a password that was given.
#[derive(Debug)]
pub struct Verdict {
    /// Whether it is the one.
    pub matches: bool,
    /// If it is, and its hash is not of today's kind and cost: a hash that is.
    pub rehashed: Option<PasswordHash>,
}

/// The threads that hash. They stop when the hasher is dropped.
pub struct Hasher {
    pool: Pool,
    argon2: Argon2<'static>,
    /// Costs what a hash costs, and has no password.
    dummy: PasswordHash,
}

impl Hasher {
    /// Puts the queue and what came of it on the page.
    pub fn report(&self, page: &mut crate::metrics::Page) {
        self.pool.report(page);
    }

    /// How long a password that comes now will wait for its hash.
    #[must_use]
    pub fn wait(&self) -> Wait {
        self.pool.wait()
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no more threads or no random bytes.
    pub fn new(options: HasherOptions) -> io::Result<Self> {
        let HashParams(params) = options.params;
        let pool = Pool::start(options.threads, (options.queue, options.wait_max), params.block_count())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut output = [0; OUTPUT_BYTES];
        getrandom::fill(&mut output).map_err(|error| io::Error::other(error.to_string()))?;
        let dummy = Output::new(&output).map_err(failed).and_then(|output| written(&argon2, &fresh_salt()?, output));
        Ok(Self { pool, argon2, dummy: dummy.map_err(io::Error::other)? })
    }

    /// Hashes a password with a fresh random salt. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// [`HashError::Busy`], [`HashError::Failed`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let argon2 = self.argon2.clone();
        self.pool.run(move |memory| hash(&argon2, &password, memory)).traced("hash_password").await
    }

    /// Whether this is the password that was hashed; if so, hashes it anew where the hash is of another kind or cost
    /// than today's. Without a hash the answer is no, and takes as long as with one of today's.
    ///
    /// bcrypt looks at no more than 72 bytes. Of a longer password it would take the beginning for the whole, and the
    /// new hash would then be of whatever was typed after it. So longer ones do not match: their users reset them.
    ///
    /// # Errors
    /// [`HashError::Unverifiable`], [`HashError::Busy`], [`HashError::Failed`].
    pub async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<Verdict, HashError> {
        let stored = phc::parse(hash.as_ref().unwrap_or(&self.dummy).as_str()).map_err(HashError::Unverifiable)?;
        let argon2 = self.argon2.clone();
        let verdict = move |memory: &mut Memory| {
            let matches = verify(&stored, &password, memory)? && hash.is_some();
            let outdated = matches && needs_rehash(&stored, argon2.params());
            // Whoever has the right password gets in, whether or not the machine can make a hash now.
            let rehashed = outdated.then(|| self::hash(&argon2, &password, memory).ok()).flatten();
            Ok(Verdict { matches, rehashed })
        };
        self.pool.run(verdict).traced("verify_password").await
    }
}

/// Whether a new hash would be of another kind or cost.
fn needs_rehash(stored: &StoredHash, params: &Params) -> bool {
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    !matches!(
        stored,
        StoredHash::Argon2(Argon2Hash {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: old,
            salt,
            output,
        }) if cost(old) == cost(params) && salt.len() >= RECOMMENDED_SALT_LEN && output.len() >= OUTPUT_BYTES
    )
}

fn hash(argon2: &Argon2<'_>, password: &Password, memory: &mut Memory) -> Result<PasswordHash, HashError> {
    let salt = fresh_salt()?;
    let output = digest(argon2, password, &salt, OUTPUT_BYTES, memory)?;
    written(argon2, &salt, output)
}

fn fresh_salt() -> Result<[u8; RECOMMENDED_SALT_LEN], HashError> {
    let mut salt = [0; RECOMMENDED_SALT_LEN];
    getrandom::fill(&mut salt).map_err(failed)?;
    Ok(salt)
}

/// The hash in PHC form.
fn written(argon2: &Argon2<'_>, salt: &[u8], output: Output) -> Result<PasswordHash, HashError> {
    let hash = Phc {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).map_err(failed)?,
        salt: Some(Salt::new(salt).map_err(failed)?),
        hash: Some(output),
    };
    Ok(PasswordHash::from_store(hash.to_string()))
}

fn verify(hash: &StoredHash, password: &Password, memory: &mut Memory) -> Result<bool, HashError> {
    // `Output` compares in constant time.
    match hash {
        StoredHash::Argon2(Argon2Hash { algorithm, version, params, salt, output }) => {
            let argon2 = Argon2::new(*algorithm, *version, params.clone());
            Ok(digest(&argon2, password, salt, output.len(), memory)? == *output)
        }
        StoredHash::Bcrypt { cost, salt, output } => {
            // A password ends with a NUL, unless it fills all that bcrypt looks at.
            let mut key = Zeroizing::new([0; BCRYPT_MAX_BYTES]);
            let length = password.as_bytes().len().min(BCRYPT_MAX_BYTES);
            key[..length].copy_from_slice(&password.as_bytes()[..length]);
            let digest = bcrypt::bcrypt(*cost, *salt, &key[..BCRYPT_MAX_BYTES.min(length + 1)]);
            let whole = password.as_bytes().len() <= BCRYPT_MAX_BYTES;
            // The last byte is not part of bcrypt's hashes.
            Ok(Output::new(&digest[..output.len()]).map_err(failed)? == *output && whole)
        }
        StoredHash::Scrypt { params, salt, output } => {
            let derive = |out: &mut [u8]| scrypt::scrypt(password.as_bytes(), salt, params, out).map_err(failed);
            Ok(filled(output.len(), derive)? == *output)
        }
        StoredHash::Pbkdf2 { digest, rounds, salt, output } => {
            let derive = |out: &mut [u8]| {
                match digest {
                    Digest::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, *rounds, out),
                    Digest::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, *rounds, out),
                }
                Ok(())
            };
            Ok(filled(output.len(), derive)? == *output)
        }
    }
}

/// So many bytes of output, as `derive` writes them.
fn filled(length: usize, derive: impl FnOnce(&mut [u8]) -> Result<(), HashError>) -> Result<Output, HashError> {
    let mut buffer = Zeroizing::new([0; Output::MAX_LENGTH]);
    let output = &mut buffer[..length.min(Output::MAX_LENGTH)];
    derive(output)?;
    Output::new(output).map_err(failed)
}

fn digest(
    argon2: &Argon2<'_>,
    password: &Password,
    salt: &[u8],
    length: usize,
    memory: &mut Memory,
) -> Result<Output, HashError> {
    let blocks = memory.blocks(argon2.params().block_count())?;
    filled(length, |output| {
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, blocks).map_err(failed)
    })
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
        Password::given(text.to_owned()).unwrap()
    }

    async fn verify(hasher: &Hasher, text: &str, hash: &PasswordHash) -> Result<bool, HashError> {
        hasher.verify(password(text), Some(hash.clone())).await.map(|verdict| verdict.matches)
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let hasher = hasher();
        let hash = hasher.hash(password("password123")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(PasswordHash::parse_phc(hash.as_str()).is_ok());
        assert_eq!(verify(&hasher, "password123", &hash).await, Ok(true));
        for wrong in ["password124", "Password123", "password123 ", "password12345"] {
            assert_eq!(verify(&hasher, wrong, &hash).await, Ok(false));
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
        assert_eq!(verify(&hasher, &format!("{}b", "x".repeat(1023)), &hash).await, Ok(false));
        assert_eq!(verify(&hasher, &"x".repeat(72), &hash).await, Ok(false));
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
            assert_eq!(verify(&hasher, "password", &hash).await, Ok(true));
            assert_eq!(verify(&hasher, "differentpassword", &hash).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn the_default_is_what_owasp_asks_for() {
        assert_eq!(HashParams::default(), HashParams::new(19_456, 2, 1).unwrap());
        let hasher = Hasher::new(HasherOptions::default()).unwrap();
        let hash = hasher.hash(password("securepass123")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(verify(&hasher, "securepass123", &hash).await, Ok(true));
    }

    /// bcrypt's from jBCrypt's own tests, the first of PBKDF2 and the last of scrypt from Passlib's documentation, the
    /// others made by OpenSSL.
    const ELSEWHERE: &[(&str, &str)] = &[
        ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
        ("correct horse", "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"),
        // The same with bits in the salt that count for nothing.
        ("correct horse", "$2y$04$abcdefghijklmnopqrstuvjydOTSfIH/d5oUHpsygqV5X9xJLQc6e"),
        ("password", "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44"),
        ("correct horse", "$pbkdf2-sha256$i=1000,l=32$c29tZXNhbHQxMjM0$R4QBVbS5LrYT+7k7yZdb/BCWh44tPNnBNFb1dGT3dG4"),
        (
            "correct horse",
            "$pbkdf2-sha512$i=1000,l=64$c29tZXNhbHQxMjM0$pX8+zZ8ZqdWA2JrgJ9ijkJggGV725AqK1g6iK2NqaK1bZ451u8vy\
             +5h6iZ84D1HLbIqAA0wbzqLF+LOYqj9e7A",
        ),
        ("correct horse", "$scrypt$ln=4,r=8,p=1$c29tZXNhbHQxMjM0$NFtRD97aAWcTMSgS4WJuT4K7IyVenljkTSIYwbWPuVg"),
        ("correct horse", "$scrypt$ln=4,r=1,p=3$c29tZXNhbHQxMjM0$3tTtPSIIVgR66saLajiwyh+5jSOfUCzVpXs9O5S+mHo"),
        ("password", "$argon2i$v=16$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY"),
    ];

    #[tokio::test]
    async fn hashes_of_other_kinds_verify_and_are_made_anew() {
        let hasher = hasher();
        for (right, hash) in ELSEWHERE {
            let hash = PasswordHash::parse_phc(hash).unwrap();
            let wrong = hasher.verify(password(&format!("{right}!")), Some(hash.clone())).await.unwrap();
            assert!(!wrong.matches && wrong.rehashed.is_none(), "{}", hash.as_str());
            let verdict = hasher.verify(password(right), Some(hash.clone())).await.unwrap();
            assert!(verdict.matches, "{}", hash.as_str());
            let anew = verdict.rehashed.unwrap();
            assert!(anew.as_str().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
            // Once is enough.
            let verdict = hasher.verify(password(right), Some(anew)).await.unwrap();
            assert!(verdict.matches && verdict.rehashed.is_none());
        }
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_made_anew() {
        let hash = hasher().hash(password("password123")).await.unwrap();
        for (memory, passes, lanes, outdated) in
            [(64, 1, 1, false), (72, 1, 1, true), (64, 2, 1, true), (64, 1, 2, true)]
        {
            let params = HashParams::new(memory, passes, lanes).unwrap();
            let other = Hasher::new(HasherOptions { params, ..HasherOptions::default() }).unwrap();
            let verdict = other.verify(password("password123"), Some(hash.clone())).await.unwrap();
            assert_eq!((verdict.matches, verdict.rehashed.is_some()), (true, outdated), "{memory} {passes} {lanes}");
        }
    }

    /// What bcrypt would not look at is never typed in vain, nor taken for the password.
    #[tokio::test]
    async fn bcrypt_takes_no_beginning_for_the_whole() {
        let hasher = hasher();
        let of = |text: &str| PasswordHash::parse_phc(text).unwrap();
        let full = of("$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i");
        let shorter = of("$2b$04$abcdefghijklmnopqrstuu.gc7UY/21CSNJGJg21jJzx9QiOpJ9bO");
        for (length, hash, matches) in [
            (72, &full, true),
            (71, &full, false),
            (73, &full, false),
            (1024, &full, false),
            (71, &shorter, true),
            (72, &shorter, false),
        ] {
            assert_eq!(verify(&hasher, &"x".repeat(length), hash).await, Ok(matches), "{length}");
        }
    }

    #[tokio::test]
    async fn nobody_has_the_dummy_hash() {
        let hasher = hasher();
        assert!(hasher.dummy.as_str().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let verdict = hasher.verify(password("password123"), None).await.unwrap();
        assert!(!verdict.matches && verdict.rehashed.is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_verified_is_an_error_and_not_a_no() {
        let hasher = hasher();
        for hash in [
            "",
            "password123",
            "$2b$31$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQxMjM0$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
        ] {
            let verdict = verify(&hasher, "password123", &PasswordHash::from_store(hash.to_owned())).await;
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
