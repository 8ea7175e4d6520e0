//! A long link to a registry: a proxy that gives each connection a round trip, a rate of its own with TCP's slow start, and all
//! together a rate.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Bytes that TCP sends before the first answer: ten segments.
const FIRST_WINDOW: f64 = 14_480.0;
/// The pause after which TCP starts slowly again.
const IDLE: Duration = Duration::from_millis(250);
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// Pieces on their way at once; more than any round trip here needs.
const UNDERWAY: usize = 256;
/// The coarseness of the pace: who is later than this does not catch up.
const SLACK: Duration = Duration::from_millis(3);

/// Properties of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Link {
    round_trip: Duration,
    /// Bytes a second of a connection, in each direction.
    connection: f64,
    /// Bytes a second of all of them.
    all: f64,
}

impl Link {
    /// Reads `MILLISECONDS,MEGABYTES,MEGABYTES`: the round trip, and what a connection and all of them bring in a second.
    pub(super) fn parse(text: &str) -> Result<Link> {
        let numbers: Vec<f64> = text.split(',').filter_map(|part| part.parse().ok()).collect();
        let positive = numbers.iter().all(|number| *number > 0.0 && number.is_finite());
        let [round_trip, connection, all] = numbers[..] else {
            bail!("`--wan` needs three numbers as in `20,25,200`, not `{text}`");
        };
        if !positive || text.split(',').count() != 3 || round_trip > 10_000.0 {
            bail!("`--wan` needs three numbers above zero, not `{text}`");
        }
        let round_trip = Duration::from_secs_f64(round_trip / 1e3);
        Ok(Link { round_trip, connection: connection * 1e6, all: all * 1e6 })
    }

    /// Listens before `upstream` for as long as this process lives.
    pub(super) fn start(self, upstream: &str) -> Result<SocketAddr> {
        let upstream: SocketAddr = upstream.parse().context("the registry's address")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen")?;
        let address = listener.local_addr()?;
        let [down, up] = [(); 2].map(|()| Arc::new(Mutex::new(Instant::now())));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (down, up) = (Arc::clone(&down), Arc::clone(&up));
                thread::spawn(move || self.connection(client, upstream, &down, &up));
            }
        });
        Ok(address)
    }

    fn connection(
        self,
        client: TcpStream,
        upstream: SocketAddr,
        down: &Mutex<Instant>,
        up: &Mutex<Instant>,
    ) -> Option<()> {
        thread::sleep(self.round_trip);
        let server = TcpStream::connect(upstream).ok()?;
        for end in [&client, &server] {
            end.set_nodelay(true).ok()?;
        }
        let (from, to) = (client.try_clone().ok()?, server.try_clone().ok()?);
        thread::scope(|scope| {
            scope.spawn(|| self.pump(from, to, up));
            self.pump(server, client, down);
        });
        Some(())
    }

    /// Brings bytes from one end to the other, each piece when its time has come.
    fn pump(self, mut from: TcpStream, to: TcpStream, all: &Mutex<Instant>) {
        let (send, underway) = sync_channel(UNDERWAY);
        thread::scope(|scope| {
            scope.spawn(move || arrive(&underway, to));
            let mut next = Instant::now();
            let mut began = next;
            let mut last = next;
            let mut buffer = vec![0; PIECE];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if last.elapsed() > IDLE {
                    began = Instant::now();
                }
                wait_until(slot(&mut next, self.cost(length, began.elapsed())));
                #[expect(clippy::cast_precision_loss, reason = "a piece is small")]
                let shared = Duration::from_secs_f64(length as f64 / self.all);
                let turn = slot(&mut all.lock().unwrap_or_else(PoisonError::into_inner), shared);
                wait_until(turn);
                last = Instant::now();
                if send.send((last + self.round_trip / 2, buffer[..length].to_vec())).is_err() {
                    break;
                }
            }
            drop(send);
        });
    }

    /// The time that a piece takes on a connection that has been sending for so long.
    fn cost(self, length: usize, sending: Duration) -> Duration {
        let round_trip = self.round_trip.as_secs_f64();
        let trips = sending.as_secs_f64() / round_trip;
        #[expect(clippy::cast_precision_loss, reason = "a piece is small")]
        let bytes = length as f64;
        if trips < 1.0 && bytes <= FIRST_WINDOW {
            return Duration::ZERO;
        }
        // The window doubles with each round trip; after twenty it is beyond any rate.
        let window = FIRST_WINDOW / round_trip * 2_f64.powf(trips.min(20.0));
        Duration::from_secs_f64(bytes / window.min(self.connection))
    }
}

fn arrive(underway: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    while let Ok((time, bytes)) = underway.recv() {
        wait_until(time);
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown(Shutdown::Write);
}

/// Takes the next place in a row of what costs time; returns when it ends.
fn slot(next: &mut Instant, cost: Duration) -> Instant {
    let now = Instant::now();
    *next = (*next).max(now.checked_sub(SLACK).unwrap_or(now)) + cost;
    *next
}

fn wait_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let link = Link::parse("20,25,200").unwrap();
        assert_eq!(link.round_trip, Duration::from_millis(20));
        assert_eq!((link.connection, link.all), (25e6, 200e6));
        for wrong in
            ["", "20", "20,25", "20,25,x", "0,25,200", "20,25,200,1", "20,-1,200", "inf,1,1"]
        {
            assert!(Link::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_connection_starts_slowly() {
        let link = Link::parse("20,25,200").unwrap();
        let seconds =
            |length, sending| link.cost(length, Duration::from_millis(sending)).as_secs_f64();
        assert!(seconds(14_480, 0).abs() < 1e-9, "the first window leaves at once");
        assert!((seconds(14_480, 20) - 0.01).abs() < 1e-4, "then it doubles");
        assert!((seconds(25_000, 1000) - 0.001).abs() < 1e-6, "up to the connection's rate");
    }

    #[test]
    fn what_goes_in_comes_out() {
        let upstream = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let server = upstream.local_addr().unwrap().to_string();
        let echo = thread::spawn(move || {
            let (mut end, _) = upstream.accept().unwrap();
            let mut bytes = Vec::new();
            end.read_to_end(&mut bytes).unwrap();
            end.write_all(&bytes).unwrap();
        });
        let address = Link::parse("1,100,100").unwrap().start(&server).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert!(got == sent);
        echo.join().unwrap();
    }
}
