//! Cuts a filter into tokens.
//!
//! What a character means depends on the place: after a comparison sign a `-` or a `:` belongs to the
//! value, so that `age > -1` and `created_at > 2026-01-01T00:00:00Z` need no quotes. The parser knows the place.

use std::fmt;

use super::literal::Literal;
use crate::model::syntax::{Problem, shown};

/// What the parser looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A comparison, a joint, or an end.
    Term,
    /// The right side of a comparison.
    Value,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    Open,
    Close,
    And,
    Or,
    Not,
    Minus,
    Compare(Comparator),
    Literal(Literal<'a>),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Has,
}

impl Comparator {
    /// All of them; a sign comes before those that start it.
    const ALL: &[(&str, Self)] = &[
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
        (":", Self::Has),
    ];
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, comparator)| comparator == self).map_or("", |(sign, _)| sign))
    }
}

/// For messages: what was found where something else belongs.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::And => f.write_str("`AND`"),
            Self::Or => f.write_str("`OR`"),
            Self::Not => f.write_str("`NOT`"),
            Self::Minus => f.write_str("`-`"),
            Self::Compare(comparator) => write!(f, "`{comparator}`"),
            Self::Literal(literal) => f.write_str(&literal.shown()),
            Self::End => f.write_str("the end"),
        }
    }
}

/// A place in the text. Copy it to look ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next token and the byte at which it starts.
    pub(super) fn take(&mut self, place: Place) -> Result<(usize, Token<'a>), Problem> {
        self.at = self.text.len() - self.rest().trim_start().len();
        let at = self.at;
        let rest = self.rest();
        let (length, token) = match rest.chars().next() {
            None => (0, Token::End),
            Some('(') => (1, Token::Open),
            Some(')') => (1, Token::Close),
            Some('-') if place == Place::Term => {
                if rest[1..].starts_with(|next: char| next.is_whitespace()) {
                    return Err(Problem::new(at, "`-` must stand directly before what it negates"));
                }
                (1, Token::Minus)
            }
            Some(quote @ ('"' | '\'')) => return self.take_quoted(quote),
            Some(_) => match comparator_at(rest, place) {
                Some((sign, comparator)) => (sign.len(), Token::Compare(comparator)),
                None => return self.take_word(place),
            },
        };
        self.at += length;
        Ok((at, token))
    }

    fn take_quoted(&mut self, quote: char) -> Result<(usize, Token<'a>), Problem> {
        let at = self.at;
        let inner = &self.rest()[1..];
        let Some(length) = unescaped(inner, |char, _| char == quote) else {
            return Err(Problem::new(at, format!("the text that starts with {quote} has no closing {quote}")));
        };
        self.at += length + 2;
        let ends = self.rest().chars().next().is_none_or(|next| next.is_whitespace() || "()=!<>:".contains(next));
        if !ends {
            let message = format!("a space is missing after the closing {quote}; within quotes write \\{quote}");
            return Err(Problem::new(self.at, message));
        }
        Ok((at, Token::Literal(Literal { at, raw: &inner[..length], quoted: true })))
    }

    fn take_word(&mut self, place: Place) -> Result<(usize, Token<'a>), Problem> {
        let at = self.at;
        let rest = self.rest();
        // `attributes."cost center"`: the parser joins the two; elsewhere an apostrophe is a letter (O'Brien).
        let key_follows = |index: usize| place == Place::Term && rest[..index].ends_with('.');
        let ends = |char: char, index: usize| {
            char.is_whitespace()
                || matches!(char, '(' | ')' | '"')
                || (char == '\'' && key_follows(index))
                || comparator_at(&rest[index..], place).is_some()
        };
        let length = unescaped(rest, ends).unwrap_or(rest.len());
        self.at += length;
        let token = match &rest[..length] {
            "AND" => Token::And,
            "OR" => Token::Or,
            "NOT" => Token::Not,
            raw if self.rest().starts_with('(') => {
                return Err(Problem::new(at, format!("functions are not supported: {}", shown(raw))));
            }
            raw if self.rest().starts_with('"') && !key_follows(length) => {
                let message = format!("a quote stands inside {}; put quotes around the whole text", shown(raw));
                return Err(Problem::new(self.at, message));
            }
            raw => Token::Literal(Literal { at, raw, quoted: false }),
        };
        Ok((at, token))
    }
}

/// The comparison sign at the start of `rest`. A value may hold a colon.
fn comparator_at(rest: &str, place: Place) -> Option<(&'static str, Comparator)> {
    let found = Comparator::ALL.iter().find(|(sign, _)| rest.starts_with(sign)).copied();
    found.filter(|(_, comparator)| place == Place::Term || *comparator != Comparator::Has)
}

/// The index of the first character for which `stop` says so, given it and its index, and that no backslash escapes.
fn unescaped(text: &str, stop: impl Fn(char, usize) -> bool) -> Option<usize> {
    let mut chars = text.char_indices();
    while let Some((index, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if stop(char, index) {
            return Some(index);
        }
    }
    None
}
