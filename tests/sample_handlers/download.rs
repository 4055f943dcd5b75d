//! Downloads: all or nothing, and no secret of a URL is told.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::bench::{Bench, in_every_shell, stderr, stdout};

/// A URL of which nothing secret may be seen, and what may be.
const URL: &str = "https://user:SECRET@h.example:8443/dir/file.bin?X-Signature=SECRET&a=b@c#SECRET";
const SHOWN: &str = "https://h.example:8443/dir/file.bin";
/// Writes "hello" to where curl or wget is to write, and repeats the URL as those may do.
const FETCH: &str = "while [ \"$#\" -gt 1 ]; do case \"$1\" in --output | -O) to=$2 ;; esac; shift; done
printf hello >\"$to\"; echo \"getting $1\"; echo \"getting $1\" >&2";
/// Does to the handler what the agent does when it stops it.
const STOP: &str = "at=$PPID; while grep -q download-file.sh \"/proc/$at/cmdline\"; do
kill -TERM \"$at\"; read -r _ _ _ at _ <\"/proc/$at/stat\"; done";
/// Of "hello".
const SUM: &str = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";

#[test]
fn a_file_is_downloaded_to_a_file_or_into_a_directory() {
    in_every_shell(|| {
        for tool in ["curl", "wget"] {
            for (target, found, sum) in [
                ("", "file.bin", SUM),
                ("new", "new", ""),
                ("old", "old", SUM),
                ("new", "new", &SUM.to_lowercase()),
            ] {
                let bench = Bench::with(&[]);
                bench.tool(tool, FETCH);
                fs::write(bench.files().join("old"), "what was there").unwrap();
                let target = bench.files().join(target);
                let output = bench.run_as_step("download-file.sh", "", &[URL, target.to_str().unwrap(), sum]);
                assert!(output.status.success(), "{tool}: {output:?}");
                assert_eq!(fs::read_to_string(bench.files().join(found)).unwrap(), "hello");
                assert!(bench.calls().last().unwrap().ends_with(&format!("<{URL}>")), "{:?}", bench.calls());
                let target = bench.files().join(found);
                assert_eq!(stdout(&output), format!("Downloaded {SHOWN} to {}\n", target.display()));
                assert_eq!(bench.names(), if found == "old" { vec!["old"] } else { vec![found, "old"] });
            }
        }
    });
}

#[test]
fn a_download_that_breaks_leaves_what_was_there_and_nothing_else() {
    in_every_shell(|| {
        for (tool, code) in [("curl", 18), ("curl", 22), ("curl", 77), ("wget", 1), ("wget", 4), ("wget", 8)]
        {
            let bench = Bench::with(&[]);
            bench.tool(tool, &format!("{FETCH}; exit {code}"));
            assert_spoilt(&bench, &[], &format!("{tool} {code}"));
        }
    });
}

#[test]
fn a_file_with_another_checksum_is_thrown_away() {
    in_every_shell(|| {
        for tool in ["curl", "wget"] {
            let bench = Bench::with(&[]);
            bench.tool(tool, FETCH);
            assert_spoilt(&bench, &[&SUM.replace('2', "3")], tool);
        }
    });
}

#[test]
fn a_download_that_is_stopped_leaves_nothing() {
    in_every_shell(|| {
        let bench = Bench::with(&[]);
        bench.tool("curl", &format!("{FETCH}\n{STOP}"));
        assert_spoilt(&bench, &[], "TERM");
    });
}

#[test]
fn a_download_that_cannot_be_right_is_not_begun() {
    in_every_shell(|| {
        let rows: [&[&str]; 16] = [
            &[],
            &[URL],
            &[URL, "FILES", SUM, "1", "more"],
            &[URL, "FILES", "", "0"],
            &[URL, "FILES", "", "-1"],
            &[URL, "FILES", "", "1M"],
            &[URL, "FILES", "", "1000000"],
            &[URL, ""],
            &[URL, "FILES", "abc"],
            &[URL, "FILES/missing/new"],
            &[URL, "FILES/missing/"],
            &["https://h.example/?SECRET", "FILES"],
            &["file:///etc/SECRET", "FILES"],
            &["--post-file=SECRET", "FILES"],
            &["https://user:SEC/RET@h.example/SECRET", "FILES"],
            &["https://user:SECRET?@h.example/SECRET", "FILES"],
        ];
        for row in rows {
            let bench = Bench::with(&["curl"]);
            let files = bench.files().display().to_string();
            let arguments: Vec<_> = row.iter().map(|word| word.replace("FILES", &files)).collect();
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let output = bench.run("download-file.sh", &arguments);
            assert_eq!(output.status.code(), Some(1), "{row:?}: {output:?}");
            assert!(
                !stderr(&output).is_empty() && !stderr(&output).contains("SECRET"),
                "{row:?}: {output:?}"
            );
            assert!(bench.calls().is_empty() && bench.names().is_empty(), "{row:?}");
        }
    });
}

#[test]
fn a_file_is_as_large_as_allowed_or_it_is_thrown_away() {
    in_every_shell(|| {
        for tool in ["curl", "wget"] {
            for (bytes, ends_well) in [(1 << 20, true), ((1 << 20) + 1, false), (3 << 20, false)] {
                let bench = Bench::with(&[]);
                bench.real_tool("head", "head");
                let fetch =
                    FETCH.replace("printf hello >\"$to\"", &format!("head -c {bytes} /dev/zero >\"$to\""));
                bench.tool(tool, &fetch);
                if !ends_well {
                    assert_spoilt(&bench, &["", "1"], &format!("{tool} {bytes}"));
                    continue;
                }
                let output = bench.run("download-file.sh", &[URL, bench.files().to_str().unwrap(), "", "1"]);
                assert!(output.status.success(), "{tool} {bytes}: {output:?}");
            }
        }
    });
}

#[test]
fn the_tool_itself_cannot_write_more_than_allowed() {
    in_every_shell(|| {
        let bench = Bench::with(&[]);
        bench.real_tool("head", "head");
        // Goes on although it cannot write any more, and calls that a success.
        let fetch = FETCH.replace("printf hello >", "head -c 9000000 /dev/zero >");
        bench.tool("curl", &format!("{fetch}; wc -c <\"$to\" >>\"${{0%/bin/*}}/size\"; exit 0"));
        assert_spoilt(&bench, &["", "1"], "9 MB where one is allowed");
        let sizes = fs::read_to_string(bench.files().join("../size")).unwrap();
        assert!(sizes.lines().all(|size| size.trim() == "1049088"), "{sizes}");
    });
}

#[test]
fn what_is_replaced_leaves_its_mode_to_the_new_file() {
    in_every_shell(|| {
        for mode in [0o755, 0o600, 0o444, 0o640] {
            let bench = Bench::with(&[]);
            bench.tool("curl", FETCH);
            let target = bench.files().join("old");
            fs::write(&target, "what was there").unwrap();
            fs::set_permissions(&target, Permissions::from_mode(mode)).unwrap();
            let output = bench.run("download-file.sh", &[URL, target.to_str().unwrap()]);
            assert!(output.status.success(), "{mode:o}: {output:?}");
            assert_eq!(fs::read_to_string(&target).unwrap(), "hello");
            assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, mode, "{mode:o}");
        }
    });
}

#[test]
fn only_a_file_is_ever_replaced() {
    in_every_shell(|| {
        let bench = Bench::with(&["curl"]);
        let socket = bench.files().join("socket");
        let _listens = UnixListener::bind(&socket).unwrap();
        let output = bench.run("download-file.sh", &[URL, socket.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).ends_with("is no regular file\n"), "{output:?}");
        assert!(bench.calls().is_empty());
    });
}

#[test]
fn a_download_that_begins_with_tls_is_not_led_on_to_one_without() {
    in_every_shell(|| {
        for (url, goes_on) in [(URL, "=https"), ("http://h.example/a", "=http,https")] {
            let bench = Bench::with(&[]);
            bench.tool("curl", FETCH);
            assert!(bench.run("download-file.sh", &[url, bench.files().to_str().unwrap()]).status.success());
            let call = bench.calls().pop().unwrap();
            assert!(call.contains(&format!("<--proto> <=http,https> <--proto-redir> <{goes_on}>")), "{call}");
        }
    });
}

#[test]
fn a_wget_that_trusts_anybody_is_good_enough_only_for_a_file_with_a_checksum() {
    in_every_shell(|| {
        let bench = Bench::with(&[]);
        let note = "wget: note: TLS certificate validation not implemented";
        bench.tool("wget", &format!("[ \"$1\" != --version ] || exit 1\n{FETCH}; echo '{note}' >&2"));
        assert_spoilt(&bench, &[], note);
        let target = bench.files().join("new");
        let output = bench.run("download-file.sh", &[URL, target.to_str().unwrap(), SUM]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(bench.calls().last().unwrap().matches("<-T>").count(), 0);
    });
}

#[test]
fn each_real_tool_gets_the_file_and_fails_when_the_server_refuses() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || serve(&server));
    in_every_shell(|| {
        for (tool, real) in [("curl", "curl"), ("wget", "wget"), ("wget", "busybox")] {
            let bench = Bench::with(&[]);
            bench.real_tool(tool, real);
            let directory = bench.files().display().to_string();
            let url = |path: &str| format!("http://127.0.0.1:{port}/{path}?token=SECRET");
            let output = bench.run("download-file.sh", &[&url("hello"), &directory, SUM, "1"]);
            assert!(output.status.success(), "{real}: {output:?}");
            assert_eq!(fs::read_to_string(bench.files().join("hello")).unwrap(), "hello");
            for (path, most, words) in
                [("missing", "1", "http://127.0.0.1"), ("large", "1", "larger than 1 MiB")]
            {
                let output = bench.run("download-file.sh", &[&url(path), &directory, "", most]);
                assert_eq!(output.status.code(), Some(1), "{real} {path}: {output:?}");
                assert!(stderr(&output).contains(words), "{real} {path}: {output:?}");
                assert!(!stderr(&output).contains("SECRET"), "{output:?}");
            }
            assert_eq!(bench.names(), ["hello"], "{real}");
        }
    });
}

/// Answers `/hello` with "hello", `/large` with two mebibytes, and all else with 404, until the test is over.
fn serve(server: &TcpListener) {
    for stream in server.incoming() {
        let mut stream = stream.unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).unwrap_or(0) > 0 {}
        let (status, body) = match request.split(['?', ' ']).nth(1) {
            Some("/hello") => ("200 OK", "hello".to_owned()),
            Some("/large") => ("200 OK", "x".repeat(2 << 20)),
            _ => ("404 Not Found", String::new()),
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        // A tool that has had enough may go in the middle of it.
        let _ = stream.write_all((head + &body).as_bytes());
    }
}

/// The download fails, tells no secret, and leaves the directory as it was, for a new target and for an old one.
fn assert_spoilt(bench: &Bench, more: &[&str], what: &str) {
    fs::write(bench.files().join("old"), "what was there").unwrap();
    for target in ["new", "old", ""] {
        let target = bench.files().join(target).display().to_string();
        let arguments: Vec<_> = [URL, &target].iter().chain(more).copied().collect();
        let output = bench.run("download-file.sh", &arguments);
        assert!(!output.status.success(), "{what}: {output:?}");
        assert!(!stderr(&output).contains("SECRET") && !stdout(&output).contains("SECRET"), "{output:?}");
        assert!(what == "TERM" || stderr(&output).contains(SHOWN), "{what}: {output:?}");
        assert_eq!(bench.names(), ["old"], "{what}");
        assert_eq!(fs::read_to_string(bench.files().join("old")).unwrap(), "what was there");
    }
}
