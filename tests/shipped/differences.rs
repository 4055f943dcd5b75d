//! The table of differences to the AWS IoT Device Client: each known defect of that client has its row, and each test
//! that a row points to is there.

use std::collections::BTreeSet;

const PAGE: &str = "docs/device-client-differences.md";

/// The defects that are known, by letter and number.
const DEFECTS: [(char, u32); 4] = [('C', 10), ('R', 14), ('L', 10), ('S', 12)];

#[test]
fn every_defect_of_the_device_client_has_one_row_with_a_test() {
    let page = crate::read(PAGE);
    let mut found = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let Some(id) = row.split_whitespace().nth(1).filter(|word| is_id(word)) else { continue };
        assert!(!tests_in(row).is_empty(), "{id} has no test");
        found.push(id.to_owned());
    }
    let wanted: Vec<_> = DEFECTS
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |n| format!("{letter}{n}")))
        .collect();
    assert_eq!(found, wanted);
}

/// And those of the page on threats, which points to tests in the same way.
#[test]
fn every_test_that_the_page_points_to_is_there() {
    let mut named = tests_in(&crate::read(PAGE));
    assert!(named.len() > 40, "only {} tests are named", named.len());
    let of_threats = tests_in(&crate::read("docs/threats.md"));
    assert!(of_threats.len() > 25, "only {} tests are named", of_threats.len());
    named.extend(of_threats);
    for (file, name) in named {
        let source = crate::read(&file);
        let marked = source.match_indices(&format!("fn {name}(")).any(|(at, _)| is_a_test(&source[..at]));
        assert!(marked, "there is no test {name} in {file}");
    }
}

/// Whether the function that begins here is marked as a test: the mark stands above it, among attributes and comments.
fn is_a_test(before: &str) -> bool {
    let above = before.lines().rev();
    let mut above = above.take_while(|line| !line.is_empty() && !line.trim_end().ends_with('}'));
    above.any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
}

fn is_id(word: &str) -> bool {
    let (letter, number) = word.split_at(1.min(word.len()));
    DEFECTS.iter().any(|(known, _)| letter.starts_with(*known)) && number.parse::<u32>().is_ok()
}

/// Tests as the page names them: `path/file.rs::name`.
fn tests_in(text: &str) -> BTreeSet<(String, String)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let tests = quoted.filter_map(|quoted| quoted.split_once(".rs::"));
    tests.map(|(file, name)| (format!("{file}.rs"), name.to_owned())).collect()
}
