//! Hashes as strings, our own and those from elsewhere: which kinds are taken, and how dear they
//! may be to verify.
//!
//! A hash names its own cost, and whoever signs in makes the server pay it. The bounds hold for
//! every kind, so that no hash can ask for 100 GiB or for an hour.

use std::ops::RangeInclusive;

use argon2::{
    Algorithm, Params, Version,
    password_hash::phc::{Ident, Output, ParamsString, PasswordHash as Phc, Salt},
};
use base64::{
    Engine as _,
    alphabet::BCRYPT,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Bytes of memory that verifying a hash may take: 256 MiB, libsodium's `MODERATE`.
const MEMORY_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Bytes that verifying a hash may write in all passes: 2 GiB, about a second.
const WORK_MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Lanes of Argon2, `p` of scrypt.
const LANES_MAX: u32 = 64;

/// Block size of scrypt, in units of 128 bytes.
const SCRYPT_BLOCK_MAX: u32 = 32;

/// Cost of bcrypt: 2^4 (the least that the format has) to 2^16 rounds, the latter a few seconds.
const BCRYPT_COST: RangeInclusive<u32> = 4..=16;

/// Rounds of PBKDF2. The most takes a few seconds.
const PBKDF2_ROUNDS: RangeInclusive<u32> = 1_000..=10_000_000;

/// Characters of bcrypt's salt, and of its digest.
const BCRYPT_SALT_CHARS: usize = 22;
const BCRYPT_OUTPUT_CHARS: usize = 31;

/// bcrypt's base 64. Some programs have left bits of the last characters set that count for nothing.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Bytes of a hash that is looked at, as the proto says: far above what its fields can fill.
const HASH_MAX_BYTES: usize = 1024;

/// An Argon2 hash, taken apart and within bounds.
pub(super) struct Argon2Hash {
    pub algorithm: Algorithm,
    pub version: Version,
    pub params: Params,
    pub salt: Salt,
    pub output: Output,
}

/// A hash of any kind that is taken, taken apart and within bounds.
pub(super) enum StoredHash {
    Argon2(Argon2Hash),
    Bcrypt { cost: u32, salt: [u8; 16], output: Output },
    Scrypt { params: scrypt::Params, salt: Salt, output: Output },
    Pbkdf2 { digest: Digest, rounds: u32, salt: Salt, output: Output },
}

/// What PBKDF2 is built on.
#[derive(Clone, Copy)]
pub(super) enum Digest {
    Sha256,
    Sha512,
}

/// Checks a hash of any kind that is taken.
///
/// # Errors
/// Why it is not taken, without the hash.
pub(super) fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// Takes a hash of any kind apart.
///
/// # Errors
/// Why it is not taken, without the hash.
pub(super) fn parse(text: &str) -> Result<StoredHash, String> {
    if text.len() > HASH_MAX_BYTES {
        return Err(format!("has {} bytes; at most {HASH_MAX_BYTES} are allowed", text.len()));
    }
    match kind(text) {
        "argon2id" | "argon2i" | "argon2d" => parse_argon2(text).map(StoredHash::Argon2),
        "2a" | "2b" | "2y" => parse_bcrypt(text),
        "scrypt" => parse_scrypt(text),
        "pbkdf2-sha256" => parse_pbkdf2(text, Digest::Sha256),
        "pbkdf2-sha512" => parse_pbkdf2(text, Digest::Sha512),
        _ => Err("is of no known kind; must start with $argon2id$, $argon2i$, $argon2d$, $2a$, $2b$, $2y$, \
                  $scrypt$, $pbkdf2-sha256$ or $pbkdf2-sha512$"
            .to_owned()),
    }
}

/// What stands between the first two `$`.
fn kind(text: &str) -> &str {
    text.strip_prefix('$').and_then(|rest| rest.split_once('$')).map_or("", |(kind, _)| kind)
}

/// Takes an Argon2 hash apart ([RFC 9106](https://www.rfc-editor.org/rfc/rfc9106)).
///
/// # Errors
/// Why it is not taken, without the hash.
pub(super) fn parse_argon2(text: &str) -> Result<Argon2Hash, String> {
    const SHAPE: &str = "must look like $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH";
    let (phc, salt, output) = parse_phc(text, SHAPE)?;
    let algorithm = Algorithm::try_from(phc.algorithm.as_str()).map_err(|_| SHAPE)?;
    // Hashes from before version 1.3 do not name theirs.
    let version = Version::try_from(phc.version.unwrap_or(0x10)).map_err(|_| "must be of version 16 or 19")?;
    let [memory_kib, passes, lanes] = numbers(&phc.params, ["m", "t", "p"]).ok_or(SHAPE)?;
    check_argon2_cost(memory_kib, passes, lanes)?;
    let params = Params::new(memory_kib, passes, lanes, Some(output.len())).map_err(|e| e.to_string())?;
    Ok(Argon2Hash { algorithm, version, params, salt, output })
}

/// Checks that Argon2 with these parameters stays within the bounds of a sign-in.
///
/// # Errors
/// Which bound is passed.
pub(super) fn check_argon2_cost(memory_kib: u32, passes: u32, lanes: u32) -> Result<(), String> {
    check_cost(u64::from(memory_kib) * 1024, u64::from(passes), lanes)
}

/// [scrypt](https://www.rfc-editor.org/rfc/rfc7914) as RustCrypto and Passlib write it.
fn parse_scrypt(text: &str) -> Result<StoredHash, String> {
    const SHAPE: &str = "must look like $scrypt$ln=17,r=8,p=1$SALT$HASH";
    let (phc, salt, output) = parse_phc(text, SHAPE)?;
    let [log_n, r, p] = numbers(&phc.params, ["ln", "r", "p"]).ok_or(SHAPE)?;
    if !(1..=32).contains(&log_n) || !(1..=SCRYPT_BLOCK_MAX).contains(&r) || p == 0 || phc.version.is_some() {
        return Err(format!("{SHAPE}, with ln from 1, r from 1 to {SCRYPT_BLOCK_MAX}, and p from 1"));
    }
    check_cost((128 * u64::from(r)) << log_n, u64::from(p), p)?;
    let log_n = u8::try_from(log_n).map_err(|_| SHAPE)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|error| error.to_string())?;
    Ok(StoredHash::Scrypt { params, salt, output })
}

fn check_cost(memory: u64, passes: u64, lanes: u32) -> Result<(), String> {
    if memory > MEMORY_MAX_BYTES {
        let (asked, most) = (memory.div_ceil(1024), MEMORY_MAX_BYTES / 1024);
        return Err(format!("asks for {asked} KiB of memory; at most {most} are allowed"));
    }
    if memory.saturating_mul(passes) > WORK_MAX_BYTES {
        let most = WORK_MAX_BYTES / 1024;
        return Err(format!(
            "asks for {passes} passes over {} KiB; at most {most} KiB in all are allowed",
            memory / 1024
        ));
    }
    if lanes > LANES_MAX {
        return Err(format!("asks for {lanes} lanes; at most {LANES_MAX} are allowed"));
    }
    Ok(())
}

/// [bcrypt](https://www.usenix.org/legacy/events/usenix99/provos/provos.pdf): `$2b$12$` and 53 characters.
fn parse_bcrypt(text: &str) -> Result<StoredHash, String> {
    const SHAPE: &str = "must look like $2b$12$ and 53 of ./A-Za-z0-9";
    let [_, _, cost, tail] = fields(text).ok_or(SHAPE)?;
    let (salt, output) = tail.split_at_checked(BCRYPT_SALT_CHARS).ok_or(SHAPE)?;
    if cost.len() != 2 || output.len() != BCRYPT_OUTPUT_CHARS {
        return Err(SHAPE.to_owned());
    }
    let salt = BCRYPT_BASE64.decode(salt).ok().and_then(|salt| salt.try_into().ok()).ok_or(SHAPE)?;
    let output = BCRYPT_BASE64.decode(output).ok().and_then(|output| Output::new(&output).ok()).ok_or(SHAPE)?;
    let (least, most) = BCRYPT_COST.into_inner();
    let cost = decimal(cost).filter(|cost| BCRYPT_COST.contains(cost));
    let cost = cost.ok_or_else(|| format!("{SHAPE}, with a cost from {least:02} to {most:02}"))?;
    Ok(StoredHash::Bcrypt { cost, salt, output })
}

/// PBKDF2 ([RFC 8018](https://www.rfc-editor.org/rfc/rfc8018)) as RustCrypto writes it (`i=600000,l=32`, PHC) or as
/// Passlib does (`600000`, and `.` for `+` in the base 64).
fn parse_pbkdf2(text: &str, digest: Digest) -> Result<StoredHash, String> {
    const SHAPE: &str = "must look like $pbkdf2-sha256$i=600000,l=32$SALT$HASH or $pbkdf2-sha256$600000$SALT$HASH";
    let [_, _, cost, salt, output] = fields(text).ok_or(SHAPE)?;
    let (rounds, salt, output) = if cost.contains('=') {
        let (phc, salt, output) = parse_phc(text, SHAPE)?;
        match (numbers(&phc.params, ["i", "l"]), numbers(&phc.params, ["i"])) {
            (Some([rounds, length]), _) if usize::try_from(length) == Ok(output.len()) => (rounds, salt, output),
            (None, Some([rounds])) => (rounds, salt, output),
            _ => return Err(format!("{SHAPE}, with l the bytes of the hash")),
        }
    } else {
        let salt = Salt::from_b64(&salt.replace('.', "+")).map_err(|_| SHAPE)?;
        let output = Output::decode(&output.replace('.', "+")).map_err(|_| SHAPE)?;
        (decimal(cost).ok_or(SHAPE)?, salt, output)
    };
    if !PBKDF2_ROUNDS.contains(&rounds) {
        let (least, most) = PBKDF2_ROUNDS.into_inner();
        return Err(format!("asks for {rounds} rounds; must be {least} to {most}"));
    }
    Ok(StoredHash::Pbkdf2 { digest, rounds, salt, output })
}

/// A PHC string that has a salt and a hash.
fn parse_phc(text: &str, shape: &'static str) -> Result<(Phc, Salt, Output), &'static str> {
    let phc = Phc::new(text).map_err(|_| shape)?;
    let (salt, output) = (phc.salt.ok_or(shape)?, phc.hash.ok_or(shape)?);
    Ok((phc, salt, output))
}

/// The parameters, if they are these in this order and no others. A PHC string may name one twice,
/// and then readers differ over which of them counts.
fn numbers<const N: usize>(params: &ParamsString, names: [&str; N]) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let mut given = params.iter();
    for (number, name) in numbers.iter_mut().zip(names) {
        let (ident, value) = given.next()?;
        if ident != Ident::new(name).ok()? {
            return None;
        }
        *number = value.decimal().ok()?;
    }
    given.next().is_none().then_some(numbers)
}

/// Exactly this many fields between the `$`; the first is what stands before the first.
fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

fn decimal(text: &str) -> Option<u32> {
    // `parse` alone would take a sign.
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    const SALT: &str = "c29tZXNhbHQxMjM0";
    const HASH: &str = "iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A";
    const BCRYPT: &str = "R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";

    #[test]
    fn hashes_of_other_systems() {
        for hash in [
            format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}${HASH}"),
            format!("$argon2i$v=16$m=65536,t=3,p=4${SALT}${HASH}"),
            format!("$argon2d$m=102400,t=2,p=8${SALT}${HASH}"),
            format!("$argon2id$v=19$m=262144,t=3,p=1${SALT}${HASH}"),
            format!("$2a$04${BCRYPT}"),
            format!("$2b$12${BCRYPT}"),
            format!("$2y$16${BCRYPT}"),
            format!("$scrypt$ln=17,r=8,p=1${SALT}${HASH}"),
            // Passlib's own examples.
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E".to_owned(),
            "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44".to_owned(),
            format!("$pbkdf2-sha256$i=600000,l=32${SALT}${HASH}"),
            format!("$pbkdf2-sha512$i=210000${SALT}${HASH}"),
        ] {
            assert_eq!(check(&hash), Ok(()), "{hash}");
        }
    }

    #[test]
    fn foreign_broken_and_hostile_hashes() {
        for (hash, reason) in [
            (String::new(), "no known kind"),
            ("password".to_owned(), "no known kind"),
            ("5f4dcc3b5aa765d61d8327deb882cf99".to_owned(), "no known kind"),
            (format!("$1$salt${HASH}"), "no known kind"),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}"), "must look like $argon2id$"),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}$"), "must look like $argon2id$"),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}${HASH}$"), "must look like $argon2id$"),
            (format!("$argon2id$v=19$m=19456,t=2,p=1$short${HASH}"), "must look like $argon2id$"),
            (format!("$argon2id$v=18$m=19456,t=2,p=1${SALT}${HASH}"), "version 16 or 19"),
            (format!("$argon2id$v=19$t=2,m=19456,p=1${SALT}${HASH}"), "must look like $argon2id$"),
            // Whether the first or the last counts depends on the reader.
            (format!("$argon2id$v=19$m=8,t=1,p=1,m=104857600${SALT}${HASH}"), "must look like $argon2id$"),
            (
                format!("$argon2id$v=19$m=104857600,t=1,p=1${SALT}${HASH}"),
                "asks for 104857600 KiB of memory; at most 262144",
            ),
            (format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1${SALT}${HASH}"), "KiB of memory"),
            (
                format!("$argon2id$v=19$m=19456,t=4294967295,p=1${SALT}${HASH}"),
                "asks for 4294967295 passes over 19456 KiB",
            ),
            (format!("$argon2id$v=19$m=262144,t=2,p=16777215${SALT}${HASH}"), "asks for 16777215 lanes"),
            (format!("$argon2id$v=19$m=8,t=1,p=2${SALT}${HASH}"), "memory cost is too small"),
            (format!("$argon2id$v=19$m=19456,t=0,p=1${SALT}${HASH}"), "time cost is too small"),
            (format!("$2b$31${BCRYPT}"), "a cost from 04 to 16"),
            (format!("$2b$03${BCRYPT}"), "a cost from 04 to 16"),
            (format!("$2b$+9${BCRYPT}"), "a cost from 04 to 16"),
            (format!("$2b$12${}", &BCRYPT[1..]), "53 of ./A-Za-z0-9"),
            (format!("$2b$12${}=", &BCRYPT[1..]), "53 of ./A-Za-z0-9"),
            (format!("$2x$12${BCRYPT}"), "no known kind"),
            (format!("$scrypt$ln=63,r=8,p=1${SALT}${HASH}"), "must look like $scrypt$"),
            (format!("$scrypt$ln=30,r=8,p=1${SALT}${HASH}"), "KiB of memory"),
            (format!("$scrypt$ln=17,r=8,p=4294967295${SALT}${HASH}"), "asks for 4294967295 passes"),
            (format!("$scrypt$ln=17,r=0,p=1${SALT}${HASH}"), "r from 1 to 32"),
            (
                format!("$pbkdf2-sha256$i=4000000000,l=32${SALT}${HASH}"),
                "asks for 4000000000 rounds; must be 1000 to 10000000",
            ),
            (format!("$pbkdf2-sha256$i=600000,l=64${SALT}${HASH}"), "l the bytes of the hash"),
            (format!("$pbkdf2-sha512$1${SALT}${HASH}"), "asks for 1 rounds"),
            (format!("$pbkdf2-sha512$-1${SALT}${HASH}"), "must look like $pbkdf2"),
            (format!("$pbkdf2-sha256${SALT}${HASH}"), "must look like $pbkdf2"),
            (format!("$pbkdf2-sha1$600000${SALT}${HASH}"), "no known kind"),
            (format!("$argon2id${}", "$".repeat(1_000_000)), "has 1000010 bytes"),
        ] {
            let refused = check(&hash).unwrap_err();
            assert!(refused.contains(reason), "{hash}: {refused}");
            assert!(!refused.contains(SALT) && !refused.contains(HASH));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, rng_seed: RngSeed::Fixed(5), ..ProptestConfig::default() })]

        #[test]
        fn nothing_panics_and_what_passes_is_within_bounds(
            kind in "argon2(id|i|d)|2[aby]|scrypt|pbkdf2-sha(256|512)|\\PC{0,8}",
            fields in prop::collection::vec("v=[0-9]{1,3}|([a-z]{1,2}=[0-9]{0,11},?){0,4}|[A-Za-z0-9+/.=]{0,60}|\\PC{0,20}", 0..6),
        ) {
            let text = format!("${kind}${}", fields.join("$"));
            let checked = check(&text);
            if let Ok(hash) = parse_argon2(&text) {
                prop_assert_eq!(checked, Ok(()));
                prop_assert!(u64::from(hash.params.m_cost()) * 1024 <= MEMORY_MAX_BYTES);
            }
        }

        #[test]
        fn argon2_costs_are_bounded(m in any::<u32>(), t in any::<u32>(), p in any::<u32>()) {
            let (m, t, p) = (m >> (t % 32), t >> (p % 32), p >> (m % 32));
            if let Ok(hash) = parse_argon2(&format!("$argon2id$v=19$m={m},t={t},p={p}${SALT}${HASH}")) {
                prop_assert_eq!((hash.params.m_cost(), hash.params.t_cost(), hash.params.p_cost()), (m, t, p));
                prop_assert!(u64::from(m) * 1024 * u64::from(t) <= WORK_MAX_BYTES && p <= LANES_MAX);
            }
        }
    }
}
