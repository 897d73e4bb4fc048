//! The reason of a decision, which auditors read.

/// Parses a reason, without the blanks around it.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let reason = text.trim();
    if reason.chars().any(char::is_alphanumeric) {
        Ok(reason.to_owned())
    } else {
        Err("say in words why: the journal keeps it for those who ask later".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_words() {
        assert_eq!(reason(" paid back in cash\n"), Ok("paid back in cash".to_owned()));
        for blank in ["", " ", "\t\n", "\u{a0}\u{200b}", "-", "..."] {
            assert!(reason(blank).is_err(), "{blank:?}");
        }
    }
}
