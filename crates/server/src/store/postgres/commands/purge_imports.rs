//! Forgets runs of imports, a piece at a time.

use super::RunInPostgres;
use crate::store::{
    StoreError,
    commands::PurgeImports,
    postgres::{statement::Statement, tx::Tx, value::params},
};

impl RunInPostgres for PurgeImports {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        // Nobody takes up a run that is half gone: it loses its name first. One whose next batch is under way is used.
        const RENAME: &str =
            "UPDATE imports SET owner = '', name = 'forgotten:' || pk WHERE used_at < $1 AND owner <> ''";
        const VERDICTS: &str = "DELETE FROM import_verdicts WHERE (import_pk, first_row) IN (
                 SELECT v.import_pk, v.first_row FROM imports i JOIN import_verdicts v ON v.import_pk = i.pk
                 WHERE i.used_at < $1 AND i.owner = '' LIMIT $2)";
        const RUNS: &str = "DELETE FROM imports WHERE pk IN (
                 SELECT i.pk FROM imports i WHERE i.used_at < $1 AND i.owner = ''
                 AND NOT EXISTS (SELECT FROM import_verdicts v WHERE v.import_pk = i.pk) LIMIT $2)";
        tx.queue(RENAME, params![self.before]);
        let verdicts = Statement::new(VERDICTS, params![self.before, self.batch_max]);
        let runs = Statement::new(RUNS, params![self.before, self.batch_max]);
        let answers = tx.answers(vec![verdicts, runs]).await?;
        Ok(answers.iter().any(|answer| answer.affected >= u64::from(self.batch_max)))
    }
}
