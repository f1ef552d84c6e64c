//! The grammar of AIP-160, by recursive descent. Only parentheses recurse, and those are counted.

use super::{
    FILTER_MAX_COMPARISONS, FILTER_MAX_DEPTH,
    ast::Expr,
    lexer::{Comparator, Lexer, Place, Token},
    literal::Literal,
    resolve::{self, Name, Subject},
};
use crate::model::syntax::Problem;

/// Reads a filter that is not blank.
pub(super) fn parse<T: Subject>(text: &str) -> Result<Expr<T>, Problem> {
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0, comparisons: 0 };
    let expr = parser.expression()?;
    match parser.peek()? {
        (_, Token::End) => Ok(expr),
        (at, found) => Err(Problem::new(at, format!("{found} closes nothing"))),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    depth: usize,
    comparisons: usize,
}

impl<'a> Parser<'a> {
    fn take(&mut self) -> Result<(usize, Token<'a>), Problem> {
        self.lexer.take(Place::Term)
    }

    fn peek(&self) -> Result<(usize, Token<'a>), Problem> {
        let mut ahead = self.lexer;
        ahead.take(Place::Term)
    }

    /// Takes the next token if `wanted` says so.
    fn accept(&mut self, wanted: impl Fn(&Token<'_>) -> bool) -> Result<bool, Problem> {
        let accepted = wanted(&self.peek()?.1);
        if accepted {
            self.take()?;
        }
        Ok(accepted)
    }

    /// `factor {[AND] factor}`, up to the end or a closing parenthesis. In the AIP's grammar a sequence binds
    /// tighter than `AND`, but both mean the same.
    fn expression<T: Subject>(&mut self) -> Result<Expr<T>, Problem> {
        let mut parts = vec![self.factor()?];
        loop {
            let joined = self.accept(|token| matches!(token, Token::And))?;
            if !joined && matches!(self.peek()?.1, Token::End | Token::Close) {
                return Ok(Expr::and(parts));
            }
            parts.push(self.factor()?);
        }
    }

    /// `term {OR term}`
    fn factor<T: Subject>(&mut self) -> Result<Expr<T>, Problem> {
        let mut parts = vec![self.term()?];
        while self.accept(|token| matches!(token, Token::Or))? {
            parts.push(self.term()?);
        }
        Ok(Expr::or(parts))
    }

    /// `{NOT | "-"} (group | restriction)`
    fn term<T: Subject>(&mut self) -> Result<Expr<T>, Problem> {
        let mut negated = false;
        while self.accept(|token| matches!(token, Token::Not | Token::Minus))? {
            negated = !negated;
        }
        let expr = match self.take()? {
            (at, Token::Open) => self.group(at)?,
            (_, Token::Literal(word)) => self.restriction(word)?,
            (at, found) => {
                let message = format!("a comparison such as `status = ACTIVE` belongs here, found {found}");
                return Err(Problem::new(at, message));
            }
        };
        Ok(if negated { expr.not() } else { expr })
    }

    /// What follows the parenthesis that opened at `at`.
    fn group<T: Subject>(&mut self, at: usize) -> Result<Expr<T>, Problem> {
        self.depth += 1;
        if self.depth > FILTER_MAX_DEPTH {
            return Err(Problem::new(at, format!("more than {FILTER_MAX_DEPTH} parentheses are open")));
        }
        let expr = self.expression()?;
        if !self.accept(|token| matches!(token, Token::Close))? {
            return Err(Problem::new(at, "`(` is not closed"));
        }
        self.depth -= 1;
        Ok(expr)
    }

    /// `word`, and what it is compared with if a comparison sign follows.
    fn restriction<T: Subject>(&mut self, word: Literal<'a>) -> Result<Expr<T>, Problem> {
        self.comparisons += 1;
        if self.comparisons > FILTER_MAX_COMPARISONS {
            return Err(word.problem(format!("the filter has more than {FILTER_MAX_COMPARISONS} comparisons")));
        }
        let name = Name { word, key: self.quoted_key(word)? };
        let (_, Token::Compare(comparator)) = self.peek()? else {
            return T::bare(name);
        };
        self.take()?;
        resolve::comparison(name, comparator, self.value(comparator)?)
    }

    /// The quoted key right after a word that ends in a dot: `attributes."cost center"`.
    fn quoted_key(&mut self, word: Literal<'a>) -> Result<Option<Literal<'a>>, Problem> {
        if word.quoted || !word.raw.ends_with('.') || !self.lexer.rest().starts_with(['"', '\'']) {
            return Ok(None);
        }
        match self.take()? {
            (_, Token::Literal(key)) => Ok(Some(key)),
            (at, found) => Err(Problem::new(at, format!("a key belongs here, found {found}"))),
        }
    }

    fn value(&mut self, comparator: Comparator) -> Result<Literal<'a>, Problem> {
        match self.lexer.take(Place::Value)? {
            (_, Token::Literal(literal)) => Ok(literal),
            (at, Token::Open) => {
                let message =
                    "a group is no value; write `role = USER OR role = ADMIN` instead of `role = (USER OR ADMIN)`";
                Err(Problem::new(at, message))
            }
            (at, found @ (Token::And | Token::Or | Token::Not)) => {
                Err(Problem::new(at, format!("{found} is a keyword; put quotes around it to compare with the word")))
            }
            (at, found) => Err(Problem::new(at, format!("a value belongs after `{comparator}`, found {found}"))),
        }
    }
}
