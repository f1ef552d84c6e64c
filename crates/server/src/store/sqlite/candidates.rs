//! Who may match a search: what the trigram index says, and who has changed since it was brought up to date.

use rusqlite::{Connection, OptionalExtension as _};

use super::{feed, search_index};
use crate::store::sql::{Dialect, SqlBuilder};

/// Characters of a trigram: shorter queries have none and are looked for user by user.
const TRIGRAM_CHARS: usize = 3;
/// Trigrams of a text that are considered. More would narrow little.
const TRIGRAMS_MAX: usize = 12;
/// Trigrams that are asked for at least, and letters that each further one adds to them.
const TRIGRAMS_MIN: usize = 2;
const ADDED_MIN: usize = 2;
/// Users with a trigram that are passed over to learn how common it is.
const PROBE: i64 = 100;
/// Changes since the index was brought up to date that are still looked at one by one.
const LAG_MAX: i64 = 10_000;

/// Users that may match, not yet read.
pub(super) struct Candidates {
    /// An FTS5 query.
    trigrams: String,
    /// The last change that the index has taken in.
    position: i64,
}

impl Candidates {
    /// `None` if the text is too short for the index, or the index is absent or too far behind.
    /// Inside a transaction, what is read later fits to this.
    pub(super) fn of(connection: &Connection, text: &str) -> rusqlite::Result<Option<Self>> {
        let trigrams = trigrams_of(text);
        if trigrams.is_empty() {
            return Ok(None);
        }
        // Before all else: what the index takes in from now on is looked at twice, never missed.
        let Some(position) = search_index::position(connection)? else { return Ok(None) };
        let (oldest, newest) = (feed::oldest(connection)?, feed::newest(connection)?);
        if oldest > position + 1 || !(0..=LAG_MAX).contains(&(newest - position)) {
            return Ok(None);
        }
        Ok(Some(Self { trigrams: rarest(connection, trigrams)?.join(" AND "), position }))
    }

    /// Their rows, each once, if there are no more than `max`.
    pub(super) fn few(&self, connection: &Connection, max: usize) -> rusqlite::Result<Option<Vec<i64>>> {
        let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT pk FROM ");
        self.push(&mut sql);
        let mut statement = connection.prepare_cached(sql.text())?;
        let mut rows = statement.query(rusqlite::params_from_iter(sql.params()))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if found.len() == max {
                return Ok(None);
            }
            found.push(row.get(0)?);
        }
        Ok(Some(found))
    }

    /// Appends them as a table with the column `pk`, each once.
    pub(super) fn push(&self, sql: &mut SqlBuilder) {
        sql.push("(SELECT rowid AS pk FROM search.users_search WHERE users_search MATCH ")
            .bind(self.trigrams.clone())
            .push(" AND rowid NOT IN (SELECT user_pk FROM changes WHERE position > ")
            .bind(self.position)
            .push(") UNION ALL SELECT DISTINCT user_pk FROM changes WHERE position > ")
            .bind(self.position)
            .push(")");
    }
}

/// Trigrams of the text as FTS5 has them in a query, in order; each that comes again is there again.
fn trigrams_of(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().take(TRIGRAMS_MAX + TRIGRAM_CHARS - 1).collect();
    let quoted = |trigram: &[char]| format!("\"{}\"", String::from_iter(trigram).replace('"', "\"\""));
    chars.windows(TRIGRAM_CHARS).map(quoted).collect()
}

/// The rarest of them that together cover most of the text: one that adds few letters narrows little, and walking all
/// who have it costs more than to look at who is left.
///
/// FTS5 knows how common a trigram is only by walking all who have it, so a few are walked: the
/// sooner the rows of the first hundred end, the more common it is.
fn rarest(connection: &Connection, trigrams: Vec<String>) -> rusqlite::Result<Vec<String>> {
    const SQL: &str = "SELECT rowid FROM search.users_search WHERE users_search MATCH ?1 LIMIT 1 OFFSET ?2";
    let mut probe = connection.prepare_cached(SQL)?;
    let mut covered = vec![false; trigrams.len() + TRIGRAM_CHARS - 1];
    let mut probed = Vec::with_capacity(trigrams.len());
    for (place, trigram) in trigrams.into_iter().enumerate() {
        match probe.query_row((&trigram, PROBE), |row| row.get::<_, i64>(0)).optional()? {
            Some(row) => probed.push((row, place, trigram)),
            // So few have it that others need not be asked.
            None => return Ok(vec![trigram]),
        }
    }
    probed.sort_unstable_by(|one, other| other.cmp(one));
    let mut kept = 0;
    probed.retain(|(_, place, _)| {
        let letters = &mut covered[*place..*place + TRIGRAM_CHARS];
        let added = letters.iter().filter(|covered| !**covered).count();
        let keep = kept < TRIGRAMS_MIN || added >= ADDED_MIN;
        if keep {
            letters.fill(true);
            kept += 1;
        }
        keep
    });
    Ok(probed.into_iter().map(|(_, _, trigram)| trigram).collect())
}
