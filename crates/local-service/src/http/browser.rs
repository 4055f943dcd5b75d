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
    let shown =
        |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).chars().take(200).collect::<String>();
    if let Some(origin) = headers.get(header::ORIGIN) {
        let message = format!("A web page ({}) may not use this service.", shown(origin));
        return Err(Refusal::new(403, "AccessDeniedException", message));
    }
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
    let Some(authority) = host.to_str().ok().and_then(|host| Authority::from_str(host).ok()) else {
        return false;
    };
    let host = authority.host();
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    IpAddr::from_str(address).is_ok()
        || !name.contains('.')
        || name.to_ascii_lowercase().ends_with(".localhost")
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
}
