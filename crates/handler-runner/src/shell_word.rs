//! Paths in command lines that somebody copies from a report into a shell.

use std::path::Path;

/// A path as one word of a shell: quoted where a shell would see more in it than a name. Paths come from job documents,
/// too.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_a_name_to_a_shell_is_quoted() {
        let word = |text: &str| shell_word(Path::new(text));
        assert_eq!(word("/opt/a-b_c.sh"), "/opt/a-b_c.sh");
        assert_eq!(word("/opt/a b"), "'/opt/a b'");
        assert_eq!(word("/opt/$(id)"), "'/opt/$(id)'");
        assert_eq!(word("/opt/it's"), r"'/opt/it'\''s'");
    }
}
