//! The most common passwords, which are refused: whoever guesses begins with them.

/// A notice, an empty line, and the passwords in order, one a line. Looked through where it lies, so that it costs no
/// memory of its own.
const FILE: &str = include_str!("common_passwords.txt");

/// Whether it is one of them, in whatever case.
pub(super) fn contains(password: &str) -> bool {
    // Those on the list have no other letters.
    if !password.is_ascii() {
        return false;
    }
    let wanted = zeroize::Zeroizing::new(password.to_ascii_lowercase());
    let list = FILE.split_once("\n\n").map_or("", |(_, list)| list);
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = low.midpoint(high);
        let start = list[..middle].rfind('\n').map_or(0, |end| end + 1);
        let line = list[start..].lines().next().unwrap_or_default();
        match line.cmp(&wanted) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_them_is_found_and_nothing_between() {
        let list: Vec<&str> = FILE.split_once("\n\n").unwrap().1.lines().collect();
        assert!(list.len() > 10_000 && list.is_sorted());
        for password in &list {
            assert!(
                password.len() >= 8 && contains(password) && contains(&password.to_ascii_uppercase()),
                "{password}"
            );
            assert!(!contains(&format!("{password}\u{1}")) && !contains(&format!("\u{1}{password}")));
        }
    }

    #[test]
    fn examples_that_clients_have_published_are_no_common_passwords() {
        for password in ["password123", "securepass123", "SecurePassword123", "correct horse battery staple", "", "~"] {
            assert!(!contains(password), "{password}");
        }
        for password in ["12345678", "Password1", "PASSWORD", "qwertyuiop", "11234567", "!qaz2wsx"] {
            assert!(contains(password), "{password}");
        }
    }
}
