//! The limit of sign-ins: Argon2id on as many threads as the server has for it, and nothing else.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use argon2::{Argon2, Block};

use crate::{process::cpu_time, users::PASSWORD};

/// Threads that hash: one for each core, as the server has by default.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Hashes per second of processor time, with the parameters that the server has and memory that is used again.
pub fn hashes_per_cpu(duration: Duration) -> anyhow::Result<f64> {
    let (start, before) = (Instant::now(), cpu_time("self")?);
    let all: Vec<_> = (0..threads()).map(|_| thread::spawn(move || hash_until(start + duration))).collect();
    let mut hashes = 0;
    for thread in all {
        hashes += thread.join().map_err(|_| anyhow!("a hash thread panicked"))??;
    }
    Ok(f64::from(hashes) / (cpu_time("self")? - before).as_secs_f64())
}

fn hash_until(deadline: Instant) -> anyhow::Result<u32> {
    let argon2 = Argon2::default();
    let mut memory = vec![Block::new(); argon2.params().block_count()];
    let mut hashes = 0;
    while Instant::now() < deadline {
        let mut output = [0; 32];
        let hashed = argon2.hash_password_into_with_memory(PASSWORD.as_bytes(), &[7; 16], &mut output, &mut memory);
        hashed.map_err(|error| anyhow!("{error}")).context("Argon2")?;
        hashes += 1;
    }
    Ok(hashes)
}
