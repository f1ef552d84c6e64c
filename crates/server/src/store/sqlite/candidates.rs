//! Who may match a search: what the index says, and who has changed since it was brought up to date.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{feed, search_index};
use crate::{
    model::UserId,
    store::{StoreError, commands::json, sql::SqlBuilder},
};

/// Characters of a trigram: shorter queries have none and are looked for user by user.
const TRIGRAM_CHARS: usize = 3;
/// Trigrams of a text that are considered. More would narrow little.
const TRIGRAMS_MAX: usize = 12;
/// Trigrams that are asked for at least if there are so many, and letters that each adds to the others.
const TRIGRAMS_MIN: usize = 2;
const ADDED_MIN: usize = 2;
/// Users with a trigram that are passed over to learn how common it is.
const PROBE: i64 = 100;
/// Changes since the index was brought up to date that are still looked at one by one.
const LAG_MAX: i64 = 20_000;

/// What the index knows of a search.
pub(super) struct Candidates {
    /// What is looked for.
    text: String,
    /// An FTS5 query; `None` if the text is too short for one.
    trigrams: Option<String>,
    /// The last change that the index has taken in.
    position: i64,
}

/// Users, few enough to look at each.
pub(super) struct Few {
    /// Those that match as the index has them, which is as they are: nothing has changed them since.
    pub(super) matching: Vec<(UserId, i64)>,
    /// Those that something has changed since; whether they match is not known.
    pub(super) changed: Vec<i64>,
}

impl Candidates {
    /// `None` if the index is absent or too far behind. Inside a transaction, what is read later fits to this.
    pub(super) fn of(connection: &Connection, text: &str) -> rusqlite::Result<Option<Self>> {
        // Before all else: what the index takes in from now on is looked at twice, never missed.
        let Some(position) = search_index::position(connection)? else { return Ok(None) };
        let (oldest, newest) = (feed::oldest(connection)?, feed::newest(connection)?);
        if oldest > position + 1 || !(0..=LAG_MAX).contains(&(newest - position)) {
            return Ok(None);
        }
        let trigrams = match trigrams_of(text) {
            none if none.is_empty() => None,
            all => Some(rarest(connection, all)?.join(" AND ")),
        };
        Ok(Some(Self { text: text.to_owned(), trigrams, position }))
    }

    /// Who they are, if there are trigrams and no more than `max` users have them.
    pub(super) fn few(&self, connection: &Connection, max: u32) -> Result<Option<Few>, StoreError> {
        const INDEXED: &str = "SELECT rowid FROM search.users_search WHERE users_search MATCH ?1 AND rowid NOT IN
            (SELECT user_pk FROM changes WHERE position > ?2) LIMIT ?3";
        const MATCHING: &str = "SELECT t.id, t.pk FROM json_each(?1) c CROSS JOIN search.texts t ON t.pk = c.value
            WHERE instr(t.search_text, ?2) > 0";
        const CHANGED: &str = "SELECT DISTINCT user_pk FROM changes WHERE position > ?1";
        let Some(trigrams) = &self.trigrams else { return Ok(None) };
        let indexed: Vec<i64> = connection
            .prepare_cached(INDEXED)?
            .query_map(params![trigrams, self.position, max + 1], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if indexed.len() > max as usize {
            return Ok(None);
        }
        let mut matching = connection.prepare_cached(MATCHING)?;
        let matching = matching.query_map((json(&indexed)?, &self.text), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut changed = connection.prepare_cached(CHANGED)?;
        let changed = changed.query_map([self.position], |row| row.get(0))?;
        Ok(Some(Few { matching: matching.collect::<Result<_, _>>()?, changed: changed.collect::<Result<_, _>>()? }))
    }

    /// Appends those that match as the index has them, as a query for their `pk`.
    pub(super) fn push_matching(&self, sql: &mut SqlBuilder) {
        match &self.trigrams {
            Some(trigrams) => sql
                .push("SELECT t.pk FROM search.users_search s CROSS JOIN search.texts t ON t.pk = s.rowid")
                .push(" WHERE s.users_search MATCH ")
                .bind(trigrams.clone())
                .push(" AND "),
            None => sql.push("SELECT t.pk FROM search.texts t WHERE "),
        };
        sql.push("instr(t.search_text, ").bind(self.text.clone()).push(") > 0 AND t.pk NOT IN (");
        self.push_changed(sql);
        sql.push(")");
    }

    /// Appends those that something has changed since, as a query for their `pk`.
    pub(super) fn push_changed(&self, sql: &mut SqlBuilder) {
        sql.push("SELECT DISTINCT user_pk AS pk FROM changes WHERE position > ").bind(self.position);
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
    let mut kept: Vec<String> = Vec::with_capacity(probed.len());
    let mut others = Vec::new();
    for (_, place, trigram) in probed {
        let letters = &mut covered[place..place + TRIGRAM_CHARS];
        if letters.iter().filter(|covered| !**covered).count() >= ADDED_MIN {
            letters.fill(true);
            kept.push(trigram);
        } else {
            others.push(trigram);
        }
    }
    // A short text has no two that overlap little.
    kept.extend(others.into_iter().take(TRIGRAMS_MIN.saturating_sub(kept.len())));
    Ok(kept)
}
