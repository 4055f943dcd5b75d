//! How `input.command` becomes a program and its arguments: split at commas, without a shell.

/// Splits at commas; `\,` is a literal comma; each token is trimmed; an empty token vanishes, while one of blanks
/// only stays as an empty argument. There is no other escape and no quoting. (As the Device Client does it.)
pub(super) fn split(command: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut characters = command.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' if characters.peek() == Some(&',') => {
                characters.next();
                token.push(',');
            }
            ',' => finish(&mut token, &mut tokens),
            _ => token.push(c),
        }
    }
    finish(&mut token, &mut tokens);
    tokens
}

fn finish(token: &mut String, tokens: &mut Vec<String>) {
    if !token.is_empty() {
        tokens.push(token.trim_matches(is_blank).to_owned());
        token.clear();
    }
}

/// Blank, tab, line feed, vertical tab, form feed, carriage return.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}
