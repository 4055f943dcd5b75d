//! Keeps web pages out. The service checks no signature, and whoever makes a job for a desk runs programs there: a page that
//! is open in a browser on the same machine must not be able to.
//!
//! A browser tells with `Origin` on whose behalf it changes something (Fetch, section 3.2), and no tool of AWS sends
//! that. A page whose own name has been made to lead to this machine (DNS rebinding) is of the same origin and so need not
//! tell, but then that name stands in `Host`: one that somebody on the Internet can have registered has a dot, and is
//! none for a service that listens on loopback.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};

use crate::jobs::Refusal;

/// Refuses what a web page has sent. `loopback`: whether the service listens there.
pub(super) fn check(headers: &HeaderMap, loopback: bool) -> Result<(), Refusal> {
    match headers.get(header::ORIGIN) {
        Some(origin) => Err(foreign_page(origin)),
        None => check_host(headers, loopback),
    }
}

/// The same for a WebSocket, which is open to pages that this machine serves, and to tools that name an origin as if they
/// were a page of this service: paho does. `tls`: where a page of another origin cannot have made its name lead here.
pub(super) fn check_socket(headers: &HeaderMap, loopback: bool, tls: bool) -> Result<(), Refusal> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let page = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, page)| page);
        let ours = page.is_some_and(|page| {
            let itself = headers.get(header::HOST).is_some_and(|host| host.as_bytes() == page.as_bytes());
            host_of(page)
                .is_some_and(|host| is_loopback(&host) || itself && (tls || address(&host).is_some()))
        });
        if !ours {
            return Err(foreign_page(origin));
        }
    }
    check_host(headers, loopback)
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(200).collect()
}

fn foreign_page(origin: &HeaderValue) -> Refusal {
    let message = format!("A web page ({}) may not use this service.", shown(origin));
    Refusal::new(403, "AccessDeniedException", message)
}

fn check_host(headers: &HeaderMap, loopback: bool) -> Result<(), Refusal> {
    match headers.get(header::HOST) {
        Some(host) if loopback && !is_local(host) => {
            let message = format!(
                "This service listens on loopback and is not {}: ask it at 127.0.0.1 or localhost.",
                shown(host)
            );
            Err(Refusal::new(403, "AccessDeniedException", message))
        }
        Some(_) | None => Ok(()),
    }
}

/// An address, or a name that nobody can have registered.
fn is_local(host: &HeaderValue) -> bool {
    let Some(host) = host.to_str().ok().and_then(host_of) else { return false };
    address(&host).is_some() || !host.contains('.') || host.ends_with(".localhost")
}

/// This very machine.
fn is_loopback(host: &str) -> bool {
    address(host).is_some_and(|address| address.is_loopback())
        || host == "localhost"
        || host.ends_with(".localhost")
}

/// The host of an authority, in small letters and without the dot that may end a name.
fn host_of(authority: &str) -> Option<String> {
    let authority = Authority::from_str(authority).ok()?;
    let host = authority.host();
    Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    IpAddr::from_str(bare).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &'static str, value: &'static str, loopback: bool) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        check(&headers, loopback).err().map_or(200, |refusal| refusal.status)
    }

    #[test]
    fn tools_ask_by_address_or_by_a_name_of_the_machine() {
        for host in
            ["127.0.0.1:8080", "[::1]:8080", "[::1]", "localhost:8080", "LOCALHOST", "jobs", "a.localhost."]
        {
            assert_eq!(status("host", host, true), 200, "{host}");
        }
        assert_eq!(check(&HeaderMap::new(), true), Ok(()));
    }

    #[test]
    fn a_name_that_leads_here_from_outside_is_refused_where_only_loopback_is_served() {
        for host in [
            "rebound.example:8080",
            "localhost.example",
            "127.0.0.1.example",
            "user@rebound.example",
            "",
            "a b",
        ] {
            assert_eq!(status("host", host, true), 403, "{host}");
        }
        assert_eq!(status("host", "jobs.desk.example:8080", false), 200);
    }

    #[test]
    fn what_a_page_asks_for_is_refused_whatever_its_origin() {
        for origin in ["http://somewhere.example", "null", "http://127.0.0.1:8080", ""] {
            assert_eq!(status("origin", origin, true), 403, "{origin}");
            assert_eq!(status("origin", origin, false), 403, "{origin}");
        }
    }

    #[test]
    fn a_websocket_is_open_to_pages_of_this_machine_and_to_tools_that_name_themselves() {
        for (host, origin, tls, status) in [
            ("127.0.0.1:8080", None, false, 200),
            ("127.0.0.1:8080", Some("https://127.0.0.1:8080"), false, 200),
            ("localhost:8080", Some("http://localhost:3000"), false, 200),
            ("localhost:8080", Some("http://[::1]:3000"), false, 200),
            ("192.168.1.7:8080", Some("https://192.168.1.7:8080"), false, 200),
            ("desk.example:8883", Some("https://desk.example:8883"), true, 200),
            ("desk.example:8080", Some("http://desk.example:8080"), false, 403),
            ("localhost:8080", Some("https://somewhere.example"), false, 403),
            ("localhost:8883", Some("https://somewhere.example"), true, 403),
            ("localhost:8080", Some("null"), false, 403),
            ("localhost:8080", Some("https://localhost.example"), false, 403),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert("origin", HeaderValue::from_static(origin));
            }
            let checked = check_socket(&headers, false, tls).err().map_or(200, |refusal| refusal.status);
            assert_eq!(checked, status, "{host} {origin:?} {tls}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("rebound.example"));
        assert!(check_socket(&headers, true, false).is_err());
    }
}
