//! Lists that come page by page.

use crate::{
    context::Context,
    error::Failure,
    output::{Output, Part},
};

/// How much of a list is wanted, and from where.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// At most so many; `None` for all.
    pub limit: Option<u32>,
    /// The token of the first page; empty for the beginning.
    pub token: &'a str,
    /// What is said if there are none.
    pub nothing: &'a str,
}

/// Reads page after page and shows each as it comes, so that memory holds one page. `read` is told how many are wanted
/// still and the token of the page, and gives the page and the token of the next.
pub async fn follow<T>(
    context: &mut Context,
    wanted: Wanted<'_>,
    read: impl AsyncFn(&mut Context, u64, String) -> Result<(Vec<T>, Option<String>), Failure>,
    show: impl Fn(&mut Output, &[T], Part) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut left = wanted.limit.map_or(u64::MAX, u64::from);
    let mut token = wanted.token.to_owned();
    let mut shown: u64 = 0;
    loop {
        let (page, next) = read(context, left, token).await?;
        let part = if shown == 0 { Part::First } else { Part::Further };
        show(&mut context.out, &page, part)?;
        let count = page.len() as u64;
        shown += count;
        left = left.saturating_sub(count);
        let Some(next) = next else {
            return if shown == 0 { context.out.note(wanted.nothing) } else { Ok(()) };
        };
        token = next;
        if left == 0 {
            let more = format!("{shown} shown; for more: --page-token '{token}', --limit N or --all");
            return context.out.note(&more);
        }
    }
}
