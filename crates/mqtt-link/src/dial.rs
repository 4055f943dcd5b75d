//! From a name to an open TCP connection, by whichever of its addresses answers first (RFC 8305, "Happy Eyeballs"): a
//! way that swallows packets, as a broken IPv6 route does, costs a quarter of a second instead of the whole attempt.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long an address is waited for before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// So many addresses of a name are tried, of both families: each costs a socket.
const MAX_ADDRESSES: usize = 16;

/// Connects. An error without a system error number comes from the resolver.
pub(crate) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = by_turns(lookup_host((host, port)).await?);
    let stream = race(addresses, TcpStream::connect).await?;
    // Nagle's algorithm against delayed acknowledgements would cost 40 ms per request and answer.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The families in turn, beginning with that of the resolver's first choice (RFC 8305, section 4).
fn by_turns(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<_> = addresses.collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let before = turns.len();
        turns.extend(first.next());
        turns.extend(second.next());
        if turns.len() == before || turns.len() >= MAX_ADDRESSES {
            turns.truncate(MAX_ADDRESSES);
            return turns;
        }
    }
}

/// The first connection that comes about; the other attempts are given up. The error is that of the last to fail.
async fn race<T, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let ended = if let Some(address) = waiting.next() {
            attempts.spawn(connect(address));
            match timeout(HEAD_START, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_elapsed) => continue,
            }
        } else {
            attempts.join_next().await
        };
        match ended {
            Some(Ok(Ok(connection))) => return Ok(connection),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(ended_early)) => failure = ended_early.into(),
            None => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::{Instant, sleep};

    use super::*;

    const V6: &str = "[2001:db8::1]:8883";
    const V4: &str = "192.0.2.1:8883";

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What becomes of a connection to an address.
    #[derive(Clone, Copy)]
    enum Way {
        SwallowsPackets,
        Refuses,
        Answers(Duration),
    }

    /// Races over V6 and V4; who wins, and after what time.
    async fn raced(v6: Way, v4: Way) -> (io::Result<SocketAddr>, Duration) {
        let began = Instant::now();
        let winner = race(addresses(&[V6, V4]), |address| async move {
            match if address.is_ipv6() { v6 } else { v4 } {
                Way::SwallowsPackets => std::future::pending().await,
                Way::Refuses => Err(io::Error::from_raw_os_error(111)),
                Way::Answers(after) => {
                    sleep(after).await;
                    Ok(address)
                }
            }
        })
        .await;
        (winner, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_swallows_packets_costs_a_quarter_of_a_second() {
        let at_once = Way::Answers(Duration::ZERO);
        let (winner, took) = raced(Way::SwallowsPackets, at_once).await;
        assert!(winner.unwrap().is_ipv4());
        assert!((HEAD_START..HEAD_START * 2).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_refuses_costs_nothing_and_the_first_choice_wins_if_it_answers() {
        let at_once = Way::Answers(Duration::ZERO);
        let (winner, took) = raced(Way::Refuses, at_once).await;
        assert!(winner.unwrap().is_ipv4() && took < HEAD_START, "{took:?}");
        let (winner, _) = raced(at_once, at_once).await;
        assert!(winner.unwrap().is_ipv6());
        // Slow, and yet sooner than the one that began later.
        let (winner, _) =
            raced(Way::Answers(Duration::from_millis(300)), Way::Answers(Duration::from_millis(300))).await;
        assert!(winner.unwrap().is_ipv6());
    }

    #[tokio::test(start_paused = true)]
    async fn if_every_way_refuses_that_is_the_error_and_without_an_address_it_is_the_resolvers() {
        let (nobody, _) = raced(Way::Refuses, Way::Refuses).await;
        assert_eq!(nobody.unwrap_err().raw_os_error(), Some(111));
        let nobody = race(Vec::new(), |address| async move { Ok(address) }).await;
        assert_eq!(nobody.unwrap_err().raw_os_error(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_gets_its_head_start() {
        let begun = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&begun);
        let start = Instant::now();
        let never = race(addresses(&[V6, V4, "192.0.2.2:8883"]), move |_| {
            noting.lock().unwrap().push(start.elapsed());
            std::future::pending::<io::Result<()>>()
        });
        timeout(Duration::from_secs(10), never).await.unwrap_err();
        let begun = begun.lock().unwrap();
        assert_eq!(begun.len(), 3);
        assert!(begun[1] >= HEAD_START && begun[2] >= HEAD_START * 2, "{begun:?}");
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_choice_begins() {
        let turns = |texts: &[&str]| by_turns(addresses(texts).into_iter());
        let (a, b, c, d) = (V6, "[2001:db8::2]:8883", V4, "192.0.2.2:8883");
        assert_eq!(turns(&[a, b, c, d]), addresses(&[a, c, b, d]));
        assert_eq!(turns(&[c, a, b]), addresses(&[c, a, b]));
        assert_eq!(turns(&[c, d]), addresses(&[c, d]));
        assert_eq!(turns(&[]), []);
        let many = vec![c; 40];
        assert_eq!(turns(&many).len(), MAX_ADDRESSES);
    }
}
