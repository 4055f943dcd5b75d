//! A job document of any content: it is read or refused, and what is read keeps its promises. The fuzzer (`fuzz/`)
//! calls [`run`] with whatever it likes.

#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "the ban is for the crate; its test reads inputs from files"
    )
)]

use jobs_protocol::document::{Action, JobDocument};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match JobDocument::parse(text) {
        Ok(document) => {
            assert!(!document.steps.is_empty(), "there is something to run");
            for step in document.steps.iter().chain(&document.final_step) {
                assert!(!step.name.is_empty());
                let (program, args) = match &step.action {
                    Action::RunHandler { handler, args, .. } => (handler, args),
                    Action::RunCommand { program, args } => {
                        assert!(!program.contains([' ', '\t', '\n', '\r']), "one word");
                        (program, args)
                    }
                };
                assert!(!program.is_empty());
                let texts = args.iter().chain([program]).chain(&step.run_as_user);
                for text in texts {
                    assert!(!text.contains('\0'), "no process can be given a NUL");
                }
            }
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.chars().any(char::is_control), "what is told cannot steer a terminal: {told:?}");
            assert!(error.problem.len() < 4096, "and is no longer than anybody reads");
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/kept.rs"]
mod kept;

#[test]
fn every_kept_input_passes() {
    kept::replay("document", run);
}
