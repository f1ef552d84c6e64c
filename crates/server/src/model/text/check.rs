//! Which characters text may hold: nothing that hides, breaks lines, or turns the direction of
//! what follows. Emoji are fine, with the invisible characters that they are joined by.

/// Whether text may have more than one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// One line, no tabs.
    One,
    /// Line feeds, CR LF and tabs are allowed.
    Many,
}

const ZWJ: char = '\u{200D}';
const BLACK_FLAG: char = '\u{1F3F4}';
const KEYCAP: char = '\u{20E3}';
const CANCEL_TAG: char = '\u{E007F}';

/// Tags of a flag such as Scotland's: the code of the subdivision (`gbsct`), without the end.
const FLAG_TAGS_MAX: usize = 6;

/// Characters that show nothing or change how others show. Sorted.
///
/// These are `Default_Ignorable_Code_Point` of the
/// [Unicode Character Database](https://www.unicode.org/reports/tr44/), which is stable and covers
/// what is not assigned yet; line and paragraph separators; interlinear annotations; the blank
/// Braille pattern.
const INVISIBLE: &[(char, char)] = &[
    ('\u{00AD}', '\u{00AD}'),
    ('\u{034F}', '\u{034F}'),
    ('\u{061C}', '\u{061C}'),
    ('\u{115F}', '\u{1160}'),
    ('\u{17B4}', '\u{17B5}'),
    ('\u{180B}', '\u{180F}'),
    ('\u{200B}', '\u{200F}'),
    ('\u{2028}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FEFF}', '\u{FEFF}'),
    ('\u{FFA0}', '\u{FFA0}'),
    ('\u{FFF0}', '\u{FFFB}'),
    ('\u{1BCA0}', '\u{1BCA3}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{E0000}', '\u{E0FFF}'),
];

/// `Extended_Pictographic` of [UTS 51](https://www.unicode.org/reports/tr51/), in whole blocks of
/// symbols where it covers most of a block. Sorted. The few letters here are signs, such as ℹ and Ⓜ.
const PICTOGRAPHS: &[(char, char)] = &[
    ('\u{00A9}', '\u{00A9}'),
    ('\u{00AE}', '\u{00AE}'),
    ('\u{203C}', '\u{203C}'),
    ('\u{2049}', '\u{2049}'),
    ('\u{2122}', '\u{2122}'),
    ('\u{2139}', '\u{2139}'),
    ('\u{2190}', '\u{21FF}'),
    ('\u{2300}', '\u{23FF}'),
    ('\u{24C2}', '\u{24C2}'),
    ('\u{25A0}', '\u{27BF}'),
    ('\u{2934}', '\u{2935}'),
    ('\u{2B00}', '\u{2BFF}'),
    ('\u{3030}', '\u{3030}'),
    ('\u{303D}', '\u{303D}'),
    ('\u{3297}', '\u{3297}'),
    ('\u{3299}', '\u{3299}'),
    ('\u{1F000}', '\u{1F0FF}'),
    ('\u{1F170}', '\u{1F171}'),
    ('\u{1F17E}', '\u{1F17F}'),
    ('\u{1F18E}', '\u{1F19A}'),
    ('\u{1F201}', '\u{1F3FA}'),
    ('\u{1F400}', '\u{1FAFF}'),
    ('\u{1FC00}', '\u{1FFFD}'),
];

/// Bytes for each allowed character that text may have before it is normalised. No character that
/// NFC puts together is written with more.
const RAW_BYTES_PER_CHAR: usize = 16;

/// Refuses text that is too long however it is normalised, before time is spent on normalising it.
///
/// # Errors
/// How long it is, and how long it may be.
pub fn check_raw_length(text: &str, max_chars: usize) -> Result<(), String> {
    if text.len() > max_chars * RAW_BYTES_PER_CHAR {
        return Err(format!("has {} bytes; at most {max_chars} characters are allowed", text.len()));
    }
    Ok(())
}

/// Checks that text holds no control character, no invisible one outside an emoji, none that turns
/// the direction of writing, and no noncharacter.
///
/// # Errors
/// The first such character as `U+XXXX` and its position, counted from 1.
pub fn check_text(text: &str, lines: Lines) -> Result<(), String> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Ok(());
    }
    for (position, (start, c)) in text.char_indices().enumerate() {
        let after = &text[start + c.len_utf8()..];
        let what = if c.is_control() {
            if lines == Lines::Many && is_line_layout(c, after) {
                continue;
            }
            "control"
        } else if is_invisible(c) && !belongs_to_emoji(&text[..start], c, after) {
            "invisible or direction-changing"
        } else if is_noncharacter(c) {
            "reserved"
        } else {
            continue;
        };
        let position = position + 1;
        return Err(format!("has U+{:04X} at character {position}; {what} characters are not allowed", u32::from(c)));
    }
    Ok(())
}

/// Whether a character shows nothing or changes how others show.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    !c.is_ascii() && within(INVISIBLE, c)
}

fn is_pictograph(c: char) -> bool {
    within(PICTOGRAPHS, c)
}

fn within(ranges: &[(char, char)], c: char) -> bool {
    let next = ranges.partition_point(|&(first, _)| first <= c);
    next > 0 && c <= ranges[next - 1].1
}

/// Line feed, tab, and CR before a line feed; a lone CR would write over its line on a terminal.
fn is_line_layout(c: char, after: &str) -> bool {
    matches!(c, '\n' | '\t') || (c == '\r' && after.starts_with('\n'))
}

/// Code points that Unicode keeps for a program's own use and that no text holds.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{FDD0}'..='\u{FDEF}') || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Whether an invisible character stands where the grammar of emoji ([UTS 51](https://www.unicode.org/reports/tr51/)) has it.
fn belongs_to_emoji(before: &str, c: char, after: &str) -> bool {
    match c {
        ZWJ => ends_in_emoji(before) && after.starts_with(is_pictograph),
        '\u{FE0E}' | '\u{FE0F}' => before.ends_with(is_pictograph) || is_keycap(before, after),
        _ if is_tag(c) => is_flag_of_subdivision(before, c, after),
        _ => false,
    }
}

/// An emoji, perhaps with a skin tone or a choice of its look.
fn ends_in_emoji(before: &str) -> bool {
    let is_modifier = |c| matches!(c, '\u{1F3FB}'..='\u{1F3FF}' | '\u{FE0F}');
    before.trim_end_matches(is_modifier).ends_with(is_pictograph)
}

/// Such as `1️⃣`: a key, the choice of its look, a frame.
fn is_keycap(before: &str, after: &str) -> bool {
    before.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '#' | '*')) && after.starts_with(KEYCAP)
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}' | CANCEL_TAG)
}

/// A black flag, a few tags, and the end of the tags. `c` is one of them.
fn is_flag_of_subdivision(before: &str, c: char, after: &str) -> bool {
    let start = before.trim_end_matches(is_tag);
    let tags = before[start.len()..].chars().chain([c]).chain(after.chars().take_while(|c| is_tag(*c)));
    let code = tags.take(FLAG_TAGS_MAX + 1).position(|c| c == CANCEL_TAG);
    let met = before[start.len()..].chars().count();
    // The end of the tags must not lie before `c`: what follows it belongs to no flag.
    start.ends_with(BLACK_FLAG) && code.is_some_and(|length| length > 0 && length >= met)
}
