//! A user's age.

/// Years that a user may have.
pub const AGE_MAX: u8 = 150;

/// An age in years.
///
/// # Errors
/// Anything but 0 to 150.
pub fn parse_age(years: i32) -> Result<u8, String> {
    match u8::try_from(years) {
        Ok(age) if age <= AGE_MAX => Ok(age),
        _ => Err(format!("is {years}; must be 0 to {AGE_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_bounds() {
        for (years, age) in [(0, 0), (42, 42), (150, 150)] {
            assert_eq!(parse_age(years), Ok(age));
        }
        for years in [-1, 151, 256, 298, i32::MIN, i32::MAX] {
            assert_eq!(parse_age(years), Err(format!("is {years}; must be 0 to 150")));
        }
    }
}
